-- Whether a repository links a blob, under its own digest or one that the registry resolves to it.
SELECT 1 FROM layer_link
WHERE repository_id = ?1 AND link_blob_id = ?2 AND (link_blob_id = ?3 OR blob_id = ?3)
