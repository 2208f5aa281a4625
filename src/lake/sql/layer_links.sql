-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    k.repository_id AS "repository repository",
    k.link_blob_id AS link_id,
    k.blob_id AS blob_id,
    k.linked_ns / 1000 AS linked_at,
    CASE WHEN NOT EXISTS (SELECT 1 FROM unknown_blob) OR k.blob_id NOT IN (SELECT blob_id FROM unknown_blob)
        THEN k.is_dangling END AS is_dangling,
    k.is_needed AS is_needed
FROM layer_link k
ORDER BY k.repository_id, k.link_blob_id
