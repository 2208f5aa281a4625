-- Every layer. One SELECT without a join: only so does a window of them come straight from the index by size.
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
WHERE b.layer_media_type_id IS NOT NULL
