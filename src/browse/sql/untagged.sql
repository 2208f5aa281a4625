-- Revisions that no tag leads to and that are not held.
SELECT
    'revision' AS kind,
    r.name || '@' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19) AS name,
    r.name AS repository,
    NULL AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    v.exclusive_bytes AS exclusive_bytes,
    v.logical_bytes AS logical_bytes,
    0 AS is_at_least,
    COALESCE(m.layer_count, 0) AS item_count,
    v.pushed_ns AS time_ns,
    'u' AS flags,
    COALESCE(m.kind, '') AS detail,
    v.blob_id AS id
FROM revision v
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = v.blob_id
LEFT JOIN manifest m ON m.blob_id = v.blob_id
WHERE v.is_tagged = 0 AND v.is_held = 0
