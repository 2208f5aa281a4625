-- Every blob that nothing reaches, with what it is sorted by.
SELECT b.id AS id, b.size_bytes AS logical_bytes, b.manifest_count AS item_count, b.modified_ns AS time_ns
FROM blob b
WHERE b.is_orphan = 1
-- With a filter:
AND (
    b.build_step_id IS NOT NULL AND is_named(b.build_step_id)
    OR b.id >= :low AND b.id < :high
    OR b.kind LIKE :pattern ESCAPE '\'
)
