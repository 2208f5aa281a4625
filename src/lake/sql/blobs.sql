-- As the view of the same name, with numbers for what is the same in many rows: `name words` is the column
-- `name`, whose value is looked up by the number in `words`; with commas it is several columns of the file.
-- Times are microseconds since 1970.
SELECT
    b.id AS blob_id,
    b.hash AS digest,
    b.other_digest AS other_digest,
    b.kind AS kind,
    b.size_bytes AS size_bytes,
    b.modified_ns / 1000 AS modified_at,
    CASE WHEN b.id NOT IN (SELECT blob_id FROM unknown_blob) THEN b.is_present END AS is_present,
    b.manifest_count AS manifest_count,
    b.repository_count AS repository_count,
    b.tag_count AS tag_count,
    b.verified_ns / 1000 AS verified_at,
    b.is_orphan AS is_orphan,
    b.only_repository_id AS "only_repository repository",
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_blob k WHERE k.blob_id = b.id) END AS is_known,
    (SELECT c.name FROM blob_storage_class x JOIN storage_class c ON c.id = x.class_id WHERE x.blob_id = b.id) AS storage_class
FROM blob b
ORDER BY b.id
