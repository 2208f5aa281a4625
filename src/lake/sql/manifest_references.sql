-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    r.manifest_id AS manifest_id,
    r.position AS position,
    r.role AS role,
    r.blob_id AS "blob_id, is_present availability",
    r.declared_bytes AS declared_bytes,
    r.media_type_id AS "media_type media_type",
    r.platform AS platform,
    r.is_external AS is_external
FROM manifest m
CROSS JOIN reference r ON r.manifest_id = m.blob_id
WHERE m.is_orphan = 0
ORDER BY m.blob_id, r.position
