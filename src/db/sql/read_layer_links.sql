SELECT repository_id, link_blob_id, blob_id, is_needed, linked_ns
FROM layer_link
ORDER BY repository_id, link_blob_id
