-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    v.repository_id AS "repository repository",
    v.blob_id AS "manifest_id, manifest_digest digest, other_manifest_digest other_digest",
    v.is_tagged AS is_tagged,
    v.pushed_ns / 1000 AS pushed_at,
    v.logical_bytes AS logical_bytes,
    v.exclusive_bytes AS exclusive_bytes,
    v.is_held AS is_held,
    m.kind AS kind,
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM root_revision o
        WHERE o.repository_id = v.repository_id AND o.blob_id = v.blob_id) END AS is_root,
    EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = v.blob_id AND t.repository_id = v.repository_id)
        OR EXISTS (SELECT 1 FROM tagged_before) AND EXISTS (SELECT 1 FROM tagged_before t WHERE t.repository_id = v.repository_id AND t.blob_id = v.blob_id) AS was_tagged,
    CASE WHEN EXISTS (SELECT 1 FROM pull) OR EXISTS (SELECT 1 FROM root_row)
        THEN (SELECT p.pulled_ns FROM revision_pull p WHERE p.repository_id = v.repository_id AND p.blob_id = v.blob_id) / 1000 END AS last_pulled_at
FROM revision v
LEFT JOIN manifest m ON m.blob_id = v.blob_id
ORDER BY v.repository_id, v.blob_id
