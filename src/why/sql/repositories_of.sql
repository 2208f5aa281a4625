-- Repositories that link a manifest.
SELECT repository_id FROM revision WHERE blob_id = :blob ORDER BY repository_id
