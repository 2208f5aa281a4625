-- The blobs of a range of ids, which have gaps.
SELECT id FROM blob WHERE id >= ?1 AND id < ?2 ORDER BY id
