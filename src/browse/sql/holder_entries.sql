-- Every tag and untagged revision, as numbers: who may hold a blob.
SELECT
    t.manifest_id AS blob, t.repository_id AS text, t.id AS tag, NULL AS kind, t.layer_count AS count,
    t.exclusive_bytes AS exclusive_bytes, t.logical_bytes AS logical_bytes, t.pushed_ns AS time_ns
FROM tag t
WHERE t.manifest_id IS NOT NULL
UNION ALL
SELECT
    v.blob_id, v.repository_id, NULL, NULL,
    (SELECT m.layer_count FROM manifest m WHERE m.blob_id = v.blob_id), v.exclusive_bytes, v.logical_bytes, v.pushed_ns
FROM revision v
WHERE v.is_tagged = 0
