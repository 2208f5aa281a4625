-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    t.repository_id AS "repository repository",
    t.name AS tag,
    e.blob_id AS "manifest_id, manifest_digest digest, other_manifest_digest other_digest",
    e.is_current AS is_current,
    e.linked_ns / 1000 AS linked_at
FROM tag_entry e
CROSS JOIN tag t ON t.id = e.tag_id
ORDER BY e.tag_id, e.blob_id
