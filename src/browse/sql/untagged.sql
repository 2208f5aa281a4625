-- A revision that no tag leads to and that is not held.
SELECT
    'revision' AS kind,
    (SELECT r.name FROM repository r WHERE r.id = v.repository_id) || '@' || (
        SELECT substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19) FROM blob b WHERE b.id = v.blob_id
    ) AS name,
    (SELECT r.name FROM repository r WHERE r.id = v.repository_id) AS repository,
    NULL AS tag,
    (SELECT COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) FROM blob b WHERE b.id = v.blob_id) AS digest,
    v.exclusive_bytes AS exclusive_bytes,
    v.logical_bytes AS logical_bytes,
    0 AS is_at_least,
    COALESCE((SELECT m.layer_count FROM manifest m WHERE m.blob_id = v.blob_id), 0) AS item_count,
    v.pushed_ns AS time_ns,
    'u' AS flags,
    COALESCE((SELECT m.kind FROM manifest m WHERE m.blob_id = v.blob_id), '') AS detail
FROM revision v
WHERE v.repository_id = :text AND v.blob_id = :blob
