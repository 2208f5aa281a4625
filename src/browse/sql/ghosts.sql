-- Repositories with nothing left in them.
SELECT
    'repository' AS kind, name AS name, name AS repository, NULL AS tag, NULL AS digest,
    0 AS exclusive_bytes, 0 AS logical_bytes, 0 AS is_at_least, layer_link_count AS item_count,
    last_pushed_ns AS time_ns, '' AS flags, '' AS detail, id AS id
FROM repository
WHERE tag_count = 0 AND revision_count = 0 AND is_held = 0
