-- The tags of the largest repositories that hold most for themselves, a few of each; the others in ranges of names.
WITH numbered AS MATERIALIZED (
    SELECT t.repository, t.tag, t.exclusive_bytes, t.logical_bytes,
        ROW_NUMBER() OVER (PARTITION BY t.repository ORDER BY t.exclusive_bytes DESC, t.tag) AS number
    FROM (
        SELECT repository
        FROM repositories
        WHERE exclusive_bytes > 0
        ORDER BY exclusive_bytes DESC, repository
        LIMIT COALESCE(:repositories, 60)
    ) r
    CROSS JOIN tags t ON t.repository = r.repository
    WHERE t.exclusive_bytes > 0
)
SELECT repository, tag, '' AS last_tag, 1 AS tag_count, exclusive_bytes, logical_bytes
FROM numbered
WHERE number <= COALESCE(:tags, 12)
UNION ALL
SELECT repository, MIN(tag), MAX(tag), COUNT(*), CAST(SUM(exclusive_bytes * 1.0) AS INTEGER), 0
FROM (
    SELECT repository, tag, exclusive_bytes, NTILE(6) OVER (PARTITION BY repository ORDER BY tag) AS range
    FROM numbered
    WHERE number > COALESCE(:tags, 12)
)
GROUP BY repository, range
ORDER BY repository, exclusive_bytes DESC, tag
