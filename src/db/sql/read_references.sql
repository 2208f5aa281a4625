SELECT manifest_id, role, blob_id, is_external
FROM reference
ORDER BY manifest_id, position
