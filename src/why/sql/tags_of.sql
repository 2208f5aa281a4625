-- Tags that point at a manifest, but for those that are about an image of their repository: that leads to it.
SELECT t.repository_id, r.name AS repository, t.name AS tag, t.is_broken IN (1, 2) AS is_broken
FROM tag t
CROSS JOIN repository r ON r.id = t.repository_id
WHERE t.manifest_id = :blob
    AND NOT EXISTS (
        SELECT 1 FROM tag_class c
        JOIN revision v ON v.repository_id = t.repository_id AND v.blob_id = c.subject_id
        WHERE c.tag_id = t.id AND c.subject_id <> t.manifest_id)
ORDER BY t.id
LIMIT :limit
