-- Tags that point at a manifest.
SELECT t.repository_id, r.name AS repository, t.name AS tag, t.is_broken IN (1, 2) AS is_broken
FROM tag t
CROSS JOIN repository r ON r.id = t.repository_id
WHERE t.manifest_id = :blob
ORDER BY t.id
LIMIT :limit
