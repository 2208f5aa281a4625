-- Every revision that no tag leads to and that is not held, as numbers.
SELECT
    v.blob_id AS blob, v.repository_id AS text, NULL AS tag,
    (SELECT m.kind FROM manifest m WHERE m.blob_id = v.blob_id) AS kind,
    (SELECT m.layer_count FROM manifest m WHERE m.blob_id = v.blob_id) AS count,
    v.exclusive_bytes AS exclusive_bytes, v.logical_bytes AS logical_bytes, v.pushed_ns AS time_ns
FROM revision v
WHERE v.is_tagged = 0 AND v.is_held = 0
