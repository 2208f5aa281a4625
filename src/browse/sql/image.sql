-- What a manifest names, and what is about it in the repository. `exclusive` is what comes free with the tag alone or,
-- where no tag led here, what only this manifest names.
SELECT
    CASE f.role WHEN 'manifest' THEN 'platform' ELSE f.role END AS kind,
    CASE
        WHEN f.role = 'manifest' THEN COALESCE(
            NULLIF(f.platform, ''),
            m.os || '/' || m.architecture || COALESCE('/' || m.variant, ''),
            COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
        WHEN f.role = 'layer' AND s.created_by IS NOT NULL THEN s.created_by
        ELSE f.role || ' ' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19)
    END AS name,
    :own AS repository,
    NULL AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    CASE
        WHEN f.role = 'manifest' THEN COALESCE((
            SELECT CAST(SUM(x.size_bytes * 1.0) AS INTEGER)
            FROM (SELECT DISTINCT blob_id FROM reference WHERE manifest_id = f.blob_id AND role IN ('config', 'layer', 'blob')
                UNION SELECT f.blob_id) y
            JOIN blob x ON x.id = y.blob_id
            WHERE CASE WHEN :tag IS NULL THEN x.manifest_count <= 1 AND x.tag_count = 0 AND x.repository_count = 1
                ELSE x.only_tag_id = t.id END), 0)
        WHEN CASE WHEN :tag IS NULL THEN b.manifest_count = 1 AND b.tag_count = 0 AND b.repository_count = 1
            ELSE b.only_tag_id = t.id END THEN COALESCE(b.size_bytes, 0)
        ELSE 0
    END AS exclusive_bytes,
    CASE WHEN f.role = 'manifest' THEN COALESCE(m.logical_bytes, 0) ELSE COALESCE(b.size_bytes, 0) END AS logical_bytes,
    0 AS is_at_least,
    b.tag_count AS item_count,
    COALESCE(m.created_ns, b.modified_ns) AS time_ns,
    CASE WHEN b.is_present = 0 AND f.is_external = 0 THEN '!' ELSE '' END AS flags,
    COALESCE(s.created_by, '') AS detail,
    f.position AS id
FROM reference f
JOIN blob b ON b.id = f.blob_id
LEFT JOIN manifest m ON m.blob_id = f.blob_id AND f.role = 'manifest'
LEFT JOIN build_step s ON s.id = f.build_step_id
LEFT JOIN repository r ON r.name = :own
LEFT JOIN tag t ON t.repository_id = r.id AND t.name = :tag
WHERE f.manifest_id = :blob AND f.role <> 'subject'
UNION ALL
SELECT
    'referrer',
    COALESCE('about it: ' || a.name, 'about it: ' || m.kind),
    :own,
    NULL,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))),
    v.exclusive_bytes,
    v.logical_bytes,
    0,
    b.tag_count,
    v.pushed_ns,
    's',
    '',
    1000000 + b.id
FROM referenced_by n
JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position AND f.role = 'subject'
JOIN repository r ON r.name = :own
JOIN revision v ON v.repository_id = r.id AND v.blob_id = n.manifest_id
JOIN blob b ON b.id = n.manifest_id
JOIN manifest m ON m.blob_id = n.manifest_id
LEFT JOIN media_type a ON a.id = m.artifact_type_id
WHERE n.blob_id = :blob
