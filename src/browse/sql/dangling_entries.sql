-- Every layer link to a blob that is gone, as numbers.
SELECT
    k.link_blob_id AS blob, k.repository_id AS text, NULL AS tag, NULL AS kind, 1 AS count, 0 AS exclusive_bytes,
    0 AS logical_bytes, k.linked_ns AS time_ns
FROM layer_link k
WHERE k.is_dangling = 1
