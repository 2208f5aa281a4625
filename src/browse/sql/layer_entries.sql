-- Every layer, as numbers: what `Entry` has, in its order.
SELECT
    b.id AS blob, b.build_step_id AS text, NULL AS tag, NULL AS kind, b.tag_count AS count, b.size_bytes AS exclusive_bytes,
    b.size_bytes AS logical_bytes, b.modified_ns AS time_ns
FROM blob b {scan}
WHERE b.layer_media_type_id IS NOT NULL
