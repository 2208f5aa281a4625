SELECT repository_id, link_blob_id, blob_id, linked_ns
FROM layer_link
ORDER BY repository_id, link_blob_id
