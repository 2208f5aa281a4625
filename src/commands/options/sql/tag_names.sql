-- Tags of a repository whose names begin so.
SELECT tag FROM tags
WHERE repository = :repository AND substr(tag, 1, length(:prefix)) = :prefix
ORDER BY tag
LIMIT 1000
