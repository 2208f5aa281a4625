SELECT manifest_id, role, blob_id
FROM reference
ORDER BY manifest_id, position
