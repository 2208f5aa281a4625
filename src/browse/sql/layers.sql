-- Layers of a page. One SELECT without a join, so that what is not shown is not worked out.
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
    '' AS detail,
    b.id AS id
FROM blob b
WHERE b.id IN (SELECT id FROM ({page}))
