-- What the registry resolves a digest to that is no blob itself.
SELECT a.target_blob_id FROM alias a JOIN blob b ON b.id = a.blob_id
WHERE a.blob_id = ?1 AND b.is_present = 0 ORDER BY a.target_blob_id LIMIT 1
