-- Repositories with revisions that never had a tag.
SELECT r.name
FROM repository_without_tags w
JOIN repository r ON r.id = w.repository_id
WHERE r.revision_count > 0
