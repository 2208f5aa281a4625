SELECT blob_id, target_blob_id
FROM alias
ORDER BY blob_id, target_blob_id
