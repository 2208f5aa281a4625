-- Digests that the registry resolves to a blob.
SELECT blob_id FROM alias WHERE target_blob_id = :blob ORDER BY blob_id
