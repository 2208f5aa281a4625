-- Every revision that no tag leads to and that is not held, with what it is sorted by.
SELECT
    v.blob_id AS id, v.exclusive_bytes AS exclusive_bytes, v.logical_bytes AS logical_bytes,
    COALESCE((SELECT m.layer_count FROM manifest m WHERE m.blob_id = v.blob_id), 0) AS item_count,
    v.pushed_ns AS time_ns, v.repository_id AS repository_id
FROM revision v
WHERE v.is_tagged = 0 AND v.is_held = 0
-- With a filter:
AND (
    is_named(v.repository_id)
    OR v.blob_id >= :low AND v.blob_id < :high
    OR {may_be_kind} AND (SELECT m.kind FROM manifest m WHERE m.blob_id = v.blob_id) LIKE :pattern ESCAPE '\'
)
