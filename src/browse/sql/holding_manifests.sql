-- Every manifest that reaches a blob.
WITH RECURSIVE holder (manifest_id) AS (
    SELECT blob_id FROM manifest WHERE blob_id = :blob
    UNION
    SELECT n.manifest_id
    FROM referenced_by n
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE n.blob_id = :blob AND f.role <> 'subject'
    UNION
    SELECT n.manifest_id
    FROM holder h
    CROSS JOIN referenced_by n ON n.blob_id = h.manifest_id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE f.role <> 'subject'
)
SELECT manifest_id FROM holder
