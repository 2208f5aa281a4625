-- A repository's tags, and the revisions that none of them leads to. By name, versions stand in their order: 1.9 before 1.10.
SELECT
    'tag' AS kind,
    t.name AS name,
    r.name AS repository,
    t.name AS tag,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS digest,
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
    COALESCE(m.kind, '') AS detail,
    t.id AS id,
    COALESCE(t.version_key, t.name) AS version
FROM repository r
JOIN tag t ON t.repository_id = r.id
LEFT JOIN blob b ON b.id = t.manifest_id
LEFT JOIN manifest m ON m.blob_id = t.manifest_id
LEFT JOIN tag_class c ON c.tag_id = t.id
LEFT JOIN temp.protected_tag k ON k.tag_id = t.id
WHERE r.name = :own
UNION ALL
SELECT
    'revision',
    '(untagged) ' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19),
    r.name,
    NULL,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))),
    v.exclusive_bytes,
    v.logical_bytes,
    0,
    COALESCE(m.layer_count, 0),
    v.pushed_ns,
    CASE WHEN v.is_held THEN 'h' ELSE '' END || CASE WHEN k.blob_id IS NOT NULL THEN 'p' ELSE '' END || 'u',
    COALESCE(m.kind, ''),
    v.blob_id,
    '(untagged)'
FROM repository r
JOIN revision v ON v.repository_id = r.id
JOIN blob b ON b.id = v.blob_id
LEFT JOIN manifest m ON m.blob_id = v.blob_id
LEFT JOIN root_revision k ON k.repository_id = v.repository_id AND k.blob_id = v.blob_id
WHERE r.name = :own AND v.is_tagged = 0
