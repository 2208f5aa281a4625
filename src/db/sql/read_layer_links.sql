SELECT repository_id, link_blob_id, blob_id
FROM layer_link
ORDER BY repository_id, link_blob_id
