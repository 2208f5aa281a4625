-- What manifests that the roots of the last scan named or reached had in them: the manifest, and what it named. Both as
-- `digest_in` reads them.
SELECT m.hash, m.other_digest, b.hash, b.other_digest
FROM known_blob k
JOIN reference r ON r.manifest_id = k.blob_id
JOIN blob m ON m.id = k.blob_id
JOIN blob b ON b.id = r.blob_id
WHERE r.role <> 'subject'
