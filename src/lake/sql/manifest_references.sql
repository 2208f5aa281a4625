-- As the view of the same name, with the references of orphan manifests, which the graph needs; blobs.sql says how the
-- columns are read.
SELECT
    r.manifest_id AS manifest_id,
    r.position AS position,
    r.role AS role,
    r.blob_id AS "blob_id, is_present availability",
    r.declared_bytes AS declared_bytes,
    r.media_type_id AS "media_type media_type",
    r.platform AS platform,
    r.is_external AS is_external
FROM reference r
ORDER BY r.manifest_id, r.position
