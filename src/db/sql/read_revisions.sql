SELECT repository_id, blob_id
FROM revision
ORDER BY repository_id, blob_id
