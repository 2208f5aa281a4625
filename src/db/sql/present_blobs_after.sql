-- A page of the blobs on disk, in digest order.
SELECT id, hash, other_digest, size_bytes, modified_ns, changed_ns, verified_ns
FROM blob
WHERE id > ?1 AND is_present = 1
ORDER BY id
LIMIT ?2
