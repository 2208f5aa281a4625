-- What keeps a tag from being pulled.
WITH RECURSIVE
part (manifest_id) AS (
    SELECT manifest_id FROM tag WHERE id = :tag AND manifest_id IS NOT NULL
    UNION
    SELECT f.blob_id
    FROM part p
    CROSS JOIN reference f ON f.manifest_id = p.manifest_id
    WHERE f.role = 'manifest'
),
needed (role, blob_id) AS (
    SELECT DISTINCT f.role, f.blob_id
    FROM part p
    CROSS JOIN reference f ON f.manifest_id = p.manifest_id
    WHERE f.role IN ('config', 'layer', 'blob') AND f.is_external = 0
),
fault (position, fault, blob_id) AS (
    SELECT 0, 'tag-link-missing', NULL FROM tag WHERE id = :tag AND manifest_id IS NULL
    UNION ALL
    SELECT 0, p.code, NULL
    FROM problem_tag x
    JOIN problem p ON p.id = x.problem_id
    WHERE x.tag_id = :tag AND p.code = 'link-whitespace' AND p.digest IS NULL
    UNION ALL
    SELECT 1, 'revision-link-missing', t.manifest_id
    FROM tag t
    WHERE t.id = :tag AND t.manifest_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM revision v WHERE v.repository_id = t.repository_id AND v.blob_id = t.manifest_id)
    UNION ALL
    SELECT 2, CASE b.is_present WHEN 1 THEN 'manifest-unreadable' ELSE 'manifest-missing' END, b.id
    FROM part p
    JOIN blob b ON b.id = p.manifest_id
    LEFT JOIN manifest m ON m.blob_id = p.manifest_id
    WHERE (b.is_present = 0 OR m.is_readable = 0)
        AND NOT EXISTS (SELECT 1 FROM alias a JOIN blob x ON x.id = a.target_blob_id
            WHERE a.blob_id = b.id AND x.is_present = 1)
    UNION ALL
    SELECT 3, n.role || '-missing', b.id
    FROM needed n
    JOIN blob b ON b.id = n.blob_id
    WHERE b.is_present = 0
        AND NOT EXISTS (SELECT 1 FROM alias a JOIN blob x ON x.id = a.target_blob_id
            WHERE a.blob_id = b.id AND x.is_present = 1)
    UNION ALL
    SELECT 4, 'layer-link-missing', n.blob_id
    FROM needed n
    JOIN tag t ON t.id = :tag
    WHERE n.role IN ('config', 'layer')
        AND NOT EXISTS (SELECT 1 FROM layer_link k
            WHERE k.repository_id = t.repository_id AND k.link_blob_id = n.blob_id)
        AND EXISTS (SELECT 1 FROM blob b WHERE b.id = n.blob_id AND b.is_present = 1)
    UNION
    SELECT 5, p.code, n.blob_id
    FROM problem p
    JOIN problem_blob n ON n.problem_id = p.id
    WHERE p.code IN (
            'size-mismatch', 'declared-size-wrong', 'blob-content-mismatch', 'blob-unreadable',
            'revision-link-unreadable', 'layer-link-unreadable', 'link-whitespace', 'link-mismatch')
        AND (p.repository IS NULL OR p.repository = (
            SELECT r.name FROM tag t JOIN repository r ON r.id = t.repository_id WHERE t.id = :tag))
        AND (n.blob_id IN (SELECT manifest_id FROM part) OR n.blob_id IN (SELECT blob_id FROM needed))
)
SELECT
    u.fault,
    -- hex(NULL) is no NULL.
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS digest
FROM fault u
LEFT JOIN blob b ON b.id = u.blob_id
ORDER BY u.position, u.blob_id
LIMIT :limit
