-- The tags of those repositories that hold most for themselves, a few of each.
SELECT repository, tag, exclusive_bytes, logical_bytes
FROM (
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
WHERE number <= COALESCE(:tags, 12)
ORDER BY repository, number
