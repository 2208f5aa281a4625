-- The first row of an export that names the blob, or an image by its config.
SELECT s.path, o.line, n.name, o.tag, COALESCE(o.other_digest, 'sha256:' || NULLIF(lower(hex(o.hash)), ''))
FROM root_blob b
CROSS JOIN root_row o ON o.id = b.root_id
JOIN root_source s ON s.id = o.source_id
LEFT JOIN root_repository n ON n.id = o.repository_id
WHERE b.blob_id = :blob
    OR b.blob_id = (SELECT config_blob_id FROM manifest WHERE blob_id = :blob) AND o.kind = 'manifest'
ORDER BY o.id
LIMIT 1
