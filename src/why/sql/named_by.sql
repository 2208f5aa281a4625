-- Manifests that are kept and name a blob as part of them. A subject is what a manifest is about, it is no part of it.
SELECT n.manifest_id, f.role
FROM referenced_by n
CROSS JOIN manifest m ON m.blob_id = n.manifest_id
CROSS JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
WHERE n.blob_id = :blob
    AND m.is_orphan = 0
    AND f.role <> 'subject'
ORDER BY n.manifest_id, n.position
LIMIT :limit
