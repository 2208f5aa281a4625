-- An untagged revision that reaches a blob.
SELECT
    'revision' AS kind,
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
    ''
FROM revision v
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = v.blob_id
LEFT JOIN manifest m ON m.blob_id = v.blob_id
WHERE v.repository_id = :text AND v.blob_id = :blob
