-- What tags pointed at before they were moved. Rows of tag_entry and tag come in the order of their keys.
INSERT INTO tagged_before
SELECT DISTINCT t.repository_id, e.blob_id
FROM tag_entry e
JOIN tag t ON t.id = e.tag_id
WHERE e.is_current = 0
ORDER BY t.repository_id, e.blob_id
