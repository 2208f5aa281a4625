-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    m.blob_id AS "blob_id, digest digest, other_digest other_digest, size_bytes size",
    m.kind AS kind,
    m.media_type_id AS "media_type media_type",
    m.artifact_type_id AS "artifact_type media_type",
    m.config_blob_id AS "config_id, config_digest digest, other_config_digest other_digest",
    m.subject_blob_id AS "subject_id, subject_digest digest, other_subject_digest other_digest",
    m.layer_count AS layer_count,
    m.logical_bytes AS logical_bytes,
    m.os AS os,
    m.architecture AS architecture,
    m.created_ns / 1000 AS created_at,
    m.variant AS variant,
    m.is_readable AS is_readable
FROM manifest m
WHERE m.is_orphan = 0
ORDER BY m.blob_id
