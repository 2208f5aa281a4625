-- As the view of the same name; blobs.sql says how the columns are read.
SELECT
    t.repository_id AS "repository repository",
    t.name AS tag,
    t.manifest_id AS "manifest_id, manifest_digest digest, other_manifest_digest other_digest",
    t.pushed_ns / 1000 AS pushed_at,
    t.logical_bytes AS logical_bytes,
    t.exclusive_bytes AS exclusive_bytes,
    t.layer_count AS layer_count,
    CASE t.is_broken WHEN 3 THEN NULL ELSE t.is_broken <> 0 END AS is_broken,
    t.version_key AS version_key,
    m.kind AS kind,
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_tag k WHERE k.tag_id = t.id) END AS is_known,
    COALESCE(c.class, CASE WHEN t.version_key IS NULL THEN 'name' ELSE 'version' END) AS class,
    c.subject_digest AS "subject_digest, other_subject_digest",
    m.created_ns / 1000 AS created_at,
    CASE WHEN EXISTS (SELECT 1 FROM pull) OR EXISTS (SELECT 1 FROM root_row)
        THEN (SELECT p.pulled_ns FROM tag_pull p WHERE p.tag_id = t.id) / 1000 END AS last_pulled_at
FROM tag t
LEFT JOIN manifest m ON m.blob_id = t.manifest_id
LEFT JOIN tag_class c ON c.tag_id = t.id
ORDER BY t.id
