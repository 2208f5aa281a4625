-- Tags that pointed at a revision before they moved on.
SELECT
    t.name AS tag,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS moved_at
FROM tag t
CROSS JOIN tag_entry e ON e.tag_id = t.id AND e.blob_id = :blob
WHERE t.repository_id = :repository AND e.is_current = 0
ORDER BY t.id
LIMIT :limit
