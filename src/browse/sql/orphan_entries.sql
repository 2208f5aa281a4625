-- Every blob that nothing reaches, as numbers.
SELECT
    b.id AS blob, b.build_step_id AS text, NULL AS tag, b.kind AS kind, b.manifest_count AS count,
    b.size_bytes AS exclusive_bytes, b.size_bytes AS logical_bytes, b.modified_ns AS time_ns
FROM blob b {scan}
WHERE b.is_orphan = 1
