-- What external roots keep, anywhere first.
SELECT repository_id, blob_id
FROM external_root
ORDER BY repository_id, blob_id
