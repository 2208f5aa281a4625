-- Repositories whose names begin so.
SELECT repository FROM repositories
WHERE substr(repository, 1, length(:prefix)) = :prefix
ORDER BY repository
LIMIT 1000
