-- A layer. Its columns are those of `window.sql`, as in every statement of one row.
SELECT
    'layer' AS kind,
    COALESCE((SELECT s.created_by FROM build_step s WHERE s.id = b.build_step_id), 'no build step known') AS name,
    NULL AS repository,
    NULL AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    CASE WHEN b.only_tag_id IS NOT NULL THEN b.size_bytes ELSE 0 END AS exclusive_bytes,
    b.size_bytes AS logical_bytes,
    0 AS is_at_least,
    b.tag_count AS item_count,
    b.modified_ns AS time_ns,
    CASE WHEN b.is_present = 0 THEN '!' WHEN b.is_orphan THEN 'o' ELSE '' END AS flags,
    '' AS detail
FROM blob b
WHERE b.id = :blob
