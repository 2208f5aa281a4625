-- What no tag needs, by class.
SELECT
    'class' AS kind, class AS name, NULL AS repository, NULL AS tag, NULL AS digest,
    size_bytes AS exclusive_bytes, size_bytes AS logical_bytes, 0 AS is_at_least, item_count, NULL AS time_ns,
    '' AS flags, 'regsql prune ' || replace(class, ' ', '-') AS detail, 0 AS id
FROM reclaimable
UNION ALL
SELECT
    'class', v.column1, NULL, NULL, NULL, 0, 0, 0, COALESCE(c.value, 0), NULL, '', v.column3, 0
FROM (VALUES
    ('dangling layer links', 'dangling_link_count', 'regsql prune dangling-links'),
    ('unneeded layer links', 'unneeded_link_count', 'regsql prune unneeded-links'),
    ('ghost repositories', 'ghost_repository_count', 'regsql prune ghost-repositories --whole-repositories')) v
LEFT JOIN total c ON c.name = v.column2
