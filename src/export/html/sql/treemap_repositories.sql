-- What repositories hold for themselves, and what of it their tags hold each alone.
SELECT
    r.repository AS repository,
    r.exclusive_bytes AS exclusive_bytes,
    r.logical_bytes AS logical_bytes,
    r.untagged_bytes AS untagged_bytes,
    COUNT(t.tag) AS tag_count,
    COALESCE(CAST(SUM(t.exclusive_bytes * 1.0) AS INTEGER), 0) AS tag_exclusive_bytes
FROM (
    SELECT repository, exclusive_bytes, logical_bytes, untagged_bytes
    FROM repositories
    WHERE exclusive_bytes > 0
    ORDER BY exclusive_bytes DESC, repository
    LIMIT COALESCE(:repositories, 20000)
) r
LEFT JOIN tags t ON t.repository = r.repository AND t.exclusive_bytes > 0
GROUP BY r.repository, r.exclusive_bytes, r.logical_bytes, r.untagged_bytes
ORDER BY r.exclusive_bytes DESC, r.repository
