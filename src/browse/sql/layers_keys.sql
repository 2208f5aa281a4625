-- Every layer, with what it is sorted by. One SELECT without a join: only so does a page come straight from an index.
SELECT b.id AS id, b.size_bytes AS logical_bytes, b.tag_count AS item_count, b.modified_ns AS time_ns
FROM blob b {scan}
WHERE b.layer_media_type_id IS NOT NULL
-- With a filter:
AND (
    is_named(b.build_step_id)
    OR b.id >= :low AND b.id < :high
)
