-- sha512 digests under which manifests name a blob that is on disk.
SELECT a.target_blob_id, b.other_digest
FROM alias a
JOIN blob b ON b.id = a.blob_id
WHERE b.other_digest LIKE 'sha512:%'
ORDER BY a.target_blob_id, b.id
