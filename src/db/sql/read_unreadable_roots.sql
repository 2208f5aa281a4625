SELECT scope, repository_id, blob_id
FROM unreadable_root
ORDER BY id
