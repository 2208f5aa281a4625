-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    b.id AS blob_id,
    b.hash AS digest,
    b.other_digest AS other_digest,
    b.layer_media_type_id AS "media_type media_type",
    b.size_bytes AS size_bytes,
    CASE WHEN b.id NOT IN (SELECT blob_id FROM unknown_blob) THEN b.is_present END AS is_present,
    b.manifest_count AS manifest_count,
    b.repository_count AS repository_count,
    b.tag_count AS tag_count,
    b.build_step_id AS "created_by build_step",
    b.only_repository_id AS "only_repository repository"
FROM blob b NOT INDEXED
WHERE b.layer_media_type_id IS NOT NULL
ORDER BY b.id
