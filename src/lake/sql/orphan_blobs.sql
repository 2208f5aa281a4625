-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    b.id AS blob_id,
    b.hash AS blob_digest,
    b.other_digest AS other_blob_digest,
    b.kind AS kind,
    b.size_bytes AS size_bytes,
    b.modified_ns / 1000 AS modified_at,
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_blob k WHERE k.blob_id = b.id) END AS is_known
FROM blob b NOT INDEXED
WHERE b.is_orphan = 1
ORDER BY b.id
