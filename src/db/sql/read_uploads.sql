SELECT repository_id, upload_id, size_bytes, active_ns
FROM upload
ORDER BY repository_id, upload_id
