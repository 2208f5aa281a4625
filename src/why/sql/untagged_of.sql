-- Repositories that link a manifest to which none of their tags leads.
SELECT
    v.repository_id,
    r.name AS repository,
    v.is_held,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at
FROM revision v
CROSS JOIN repository r ON r.id = v.repository_id
WHERE v.blob_id = :blob AND v.is_tagged = 0
ORDER BY v.repository_id
LIMIT :limit
