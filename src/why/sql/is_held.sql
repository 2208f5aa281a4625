SELECT is_present, EXISTS (SELECT 1 FROM held_blob h WHERE h.blob_id = b.id)
FROM blob b
WHERE b.id = ?1
