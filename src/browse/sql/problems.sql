-- Problems of one code.
SELECT
    'problem' AS kind, COALESCE(repository || ': ', '') || path AS name, repository, NULL AS tag, digest,
    0 AS exclusive_bytes, 0 AS logical_bytes, 0 AS is_at_least, 1 AS item_count, NULL AS time_ns,
    CASE severity WHEN 'error' THEN '!' ELSE '' END AS flags, detail, id
FROM problem
WHERE code = :own
