-- Every tag and untagged revision that reaches a blob.
WITH RECURSIVE holder (manifest_id) AS (
    SELECT blob_id FROM manifest WHERE blob_id = :blob
    UNION
    SELECT n.manifest_id
    FROM referenced_by n
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE n.blob_id = :blob AND f.role <> 'subject'
    UNION
    SELECT n.manifest_id
    FROM holder h
    CROSS JOIN referenced_by n ON n.blob_id = h.manifest_id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE f.role <> 'subject'
)
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
    '' AS detail,
    t.id AS id
FROM holder h
CROSS JOIN tag t ON t.manifest_id = h.manifest_id
JOIN repository r ON r.id = t.repository_id
JOIN blob b ON b.id = t.manifest_id
LEFT JOIN tag_class c ON c.tag_id = t.id
LEFT JOIN temp.protected_tag k ON k.tag_id = t.id
UNION ALL
SELECT
    'revision',
    r.name || ' (untagged) ' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19),
    r.name,
    NULL,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))),
    v.exclusive_bytes,
    v.logical_bytes,
    0,
    COALESCE(m.layer_count, 0),
    v.pushed_ns,
    CASE WHEN v.is_held THEN 'h' ELSE '' END || 'u',
    '',
    v.blob_id
FROM holder h
CROSS JOIN revision v ON v.blob_id = h.manifest_id AND v.is_tagged = 0
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = v.blob_id
LEFT JOIN manifest m ON m.blob_id = v.blob_id
