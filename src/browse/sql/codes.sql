-- Problems by code.
SELECT
    'code' AS kind, code AS name, NULL AS repository, NULL AS tag, NULL AS digest,
    0 AS exclusive_bytes, 0 AS logical_bytes, 0 AS is_at_least, COUNT(*) AS item_count, NULL AS time_ns,
    CASE MIN(CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END) WHEN 0 THEN '!' ELSE '' END AS flags,
    MAX(severity) AS detail, MIN(id) AS id
FROM problem
GROUP BY code
