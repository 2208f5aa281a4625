-- What the roots of the last scan named or reached, of what was on disk: all of it as `digest_in` reads it.
SELECT b.hash, b.other_digest
FROM known_blob k
JOIN blob b ON b.id = k.blob_id
WHERE b.is_present = 1
