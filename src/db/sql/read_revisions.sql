SELECT repository_id, blob_id, pushed_ns
FROM revision
ORDER BY repository_id, blob_id
