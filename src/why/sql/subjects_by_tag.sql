-- Images of the same repository that tags on a manifest are about by their names.
SELECT DISTINCT c.subject_id, t.repository_id
FROM tag t
CROSS JOIN tag_class c ON c.tag_id = t.id
CROSS JOIN revision v ON v.repository_id = t.repository_id AND v.blob_id = c.subject_id
WHERE t.manifest_id = :blob AND c.subject_id <> t.manifest_id
ORDER BY t.repository_id, c.subject_id
