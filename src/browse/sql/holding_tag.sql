-- A tag that reaches a blob.
SELECT
    'tag' AS kind,
    r.name || ':' || t.name AS name,
    r.name AS repository,
    t.name AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    t.exclusive_bytes AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    0 AS is_at_least,
    t.layer_count AS item_count,
    t.pushed_ns AS time_ns,
    CASE WHEN t.is_broken IN (1, 2) THEN '!' ELSE '' END
        || CASE WHEN k.tag_id IS NOT NULL THEN 'p' ELSE '' END
        || CASE WHEN c.class = 'referrer' THEN 's' ELSE '' END
        || CASE WHEN t.version_key LIKE :floating
            OR EXISTS (SELECT 1 FROM tag_entry e WHERE e.tag_id = t.id AND e.is_current = 0) THEN '~' ELSE '' END
        AS flags,
    '' AS detail
FROM tag t
JOIN repository r ON r.id = t.repository_id
JOIN blob b ON b.id = t.manifest_id
LEFT JOIN tag_class c ON c.tag_id = t.id
LEFT JOIN temp.protected_tag k ON k.tag_id = t.id
WHERE t.id = :tag
