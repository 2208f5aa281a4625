-- As the view of the same name, with numbers for what is the same in many rows: `name words` is the column
-- `name`, whose value is looked up by the number in `words`; with commas it is several columns of the file.
-- `table.name` is a column of another table, whose rows are some of these and are read with them; `table.*` says which.
-- Times are microseconds since 1970. What most registries have nothing of is asked for once and not for each row.
SELECT
    b.id AS "blob_id, layers.blob_id, orphan_blobs.blob_id",
    COALESCE(b.hash, b.other_digest)
        AS "digest, other_digest, layers.digest, layers.other_digest, orphan_blobs.blob_digest, orphan_blobs.other_blob_digest",
    b.layer_media_type_id AS "layers.media_type media_type",
    b.kind AS "kind, orphan_blobs.kind",
    b.size_bytes AS "size_bytes, layers.size_bytes, orphan_blobs.size_bytes",
    b.modified_ns / 1000 AS "modified_at, orphan_blobs.modified_at",
    CASE WHEN NOT EXISTS (SELECT 1 FROM unknown_blob) OR b.id NOT IN (SELECT blob_id FROM unknown_blob) THEN b.is_present END
        AS "is_present, layers.is_present",
    b.manifest_count AS "manifest_count, layers.manifest_count",
    b.repository_count AS "repository_count, layers.repository_count",
    b.tag_count AS "tag_count, layers.tag_count",
    b.build_step_id AS "layers.created_by build_step",
    b.only_repository_id AS "only_repository repository, layers.only_repository repository",
    b.verified_ns / 1000 AS verified_at,
    b.is_orphan AS is_orphan,
    NULLIF(b.is_orphan, 0) AS "orphan_blobs.*",
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_blob k WHERE k.blob_id = b.id) END
        AS "is_known, orphan_blobs.is_known",
    CASE WHEN EXISTS (SELECT 1 FROM storage_class) THEN
        (SELECT c.name FROM blob_storage_class x JOIN storage_class c ON c.id = x.class_id WHERE x.blob_id = b.id) END AS storage_class
FROM blob b
ORDER BY b.id
