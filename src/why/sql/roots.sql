-- What is kept because something cannot be read.
SELECT u.scope, u.repository_id, r.name AS repository, u.blob_id, u.code, u.path
FROM unreadable_root u
LEFT JOIN repository r ON r.id = u.repository_id
ORDER BY u.id
LIMIT :limit
