-- What external roots keep, anywhere first.
SELECT repository_id, blob_id, keeps_revisions
FROM external_root
ORDER BY repository_id, blob_id
