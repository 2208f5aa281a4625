-- An index is as new as the newest manifest in it.
UPDATE manifest
SET created_ns = (
    SELECT MAX(m.created_ns)
    FROM reference f
    JOIN manifest m ON m.blob_id = f.blob_id
    WHERE f.manifest_id = manifest.blob_id AND f.role = 'manifest'
)
WHERE kind = 'index' AND created_ns IS NULL;
