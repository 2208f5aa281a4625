-- Uploads in which nothing happened for a week.
SELECT
    'upload' AS kind,
    r.name || ' ' || u.upload_id AS name,
    r.name AS repository,
    u.upload_id AS tag,
    NULL AS digest,
    u.size_bytes AS exclusive_bytes,
    u.size_bytes AS logical_bytes,
    0 AS is_at_least,
    1 AS item_count,
    u.active_ns AS time_ns,
    '' AS flags,
    '' AS detail,
    0 AS id
FROM upload u
JOIN repository r ON r.id = u.repository_id
WHERE u.active_ns <= (SELECT finished_ns FROM scan) - 7 * 86400000000000
