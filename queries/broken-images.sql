-- title: Tags that cannot be pulled
-- summary: Each broken tag and what is missing or wrong of it
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: fault text -- what is wrong
-- column: missing_digest digest -- what is missing, wrong or cannot be read
-- column: manifest_digest digest -- what the tag points at
-- next: regsql report problems -- where on disk each fault is
-- next: regsql why REPOSITORY:TAG -- all that is missing of one, and what it holds
--
-- One line for each fault: a tag may miss several layers. Push the image again to mend it; the
-- registry takes a layer anew when its blob is gone. A blob that is there with the wrong size or content
-- it keeps even then, so move that away first (`regsql prune --corrupt`). Wrong content is known after
-- `regsql verify --content` only.
WITH RECURSIVE
broken AS (
    SELECT t.id, t.repository_id, t.name, t.manifest_id
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    WHERE t.is_broken IN (1, 2) AND r.name GLOB COALESCE(:repository, '*')
),
part (tag_id, manifest_id) AS (
    SELECT id, manifest_id FROM broken WHERE manifest_id IS NOT NULL
    UNION
    SELECT p.tag_id, f.blob_id
    FROM part p
    CROSS JOIN reference f ON f.manifest_id = p.manifest_id
    WHERE f.role = 'manifest'
),
-- Blobs that are there and not what they should be.
wrong (blob_id, repository, fault) AS MATERIALIZED (
    SELECT n.blob_id, q.repository, CASE q.code
        WHEN 'size-mismatch' THEN ' has the wrong size'
        WHEN 'declared-size-wrong' THEN ' says a wrong size'
        WHEN 'blob-content-mismatch' THEN ' has the wrong content'
        WHEN 'blob-unreadable' THEN ' cannot be read'
        WHEN 'link-whitespace' THEN ' has white space in its link'
        WHEN 'link-mismatch' THEN ' is linked to another digest'
        ELSE ' has a link that cannot be read' END
    FROM problem q
    JOIN problem_blob n ON n.problem_id = q.id
    WHERE q.code IN (
        'size-mismatch', 'declared-size-wrong', 'blob-content-mismatch', 'blob-unreadable',
        'revision-link-unreadable', 'layer-link-unreadable', 'link-whitespace', 'link-mismatch')
),
fault (tag_id, position, fault, blob_id) AS (
    SELECT id, 0, 'its link is missing or cannot be read', NULL FROM broken WHERE manifest_id IS NULL
    UNION
    SELECT k.id, 0, 'its link has white space around the digest', NULL
    FROM broken k
    JOIN repository r ON r.id = k.repository_id
    JOIN problem p ON p.code = 'link-whitespace' AND p.digest IS NULL AND p.repository = r.name
        AND p.path GLOB '*/_manifests/tags/*'
        AND k.name = replace(substr(p.path, instr(p.path, '/_manifests/tags/') + 17), '/current/link', '')
    UNION
    SELECT k.id, 1, 'its manifest is not linked as a revision', k.manifest_id
    FROM broken k
    WHERE k.manifest_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM revision v WHERE v.repository_id = k.repository_id AND v.blob_id = k.manifest_id)
    UNION
    SELECT p.tag_id, 2, CASE b.is_present WHEN 1 THEN 'manifest cannot be read' ELSE 'manifest is missing' END, b.id
    FROM part p
    JOIN blob b ON b.id = p.manifest_id
    LEFT JOIN manifest m ON m.blob_id = p.manifest_id
    WHERE b.is_present = 0 OR m.is_readable = 0
    UNION
    SELECT p.tag_id, 3, f.role || ' is missing', b.id
    FROM part p
    CROSS JOIN reference f ON f.manifest_id = p.manifest_id
    JOIN blob b ON b.id = f.blob_id
    WHERE f.role IN ('config', 'layer', 'blob') AND f.is_external = 0 AND b.is_present = 0
        AND NOT EXISTS (
            SELECT 1 FROM alias a JOIN blob x ON x.id = a.target_blob_id
            WHERE a.blob_id = b.id AND x.is_present = 1)
    UNION
    SELECT p.tag_id, 4, f.role || w.fault, w.blob_id
    FROM part p
    CROSS JOIN reference f ON f.manifest_id = p.manifest_id
    JOIN wrong w ON w.blob_id = f.blob_id
    JOIN broken k ON k.id = p.tag_id
    JOIN repository r ON r.id = k.repository_id AND r.name = COALESCE(w.repository, r.name)
    WHERE f.role IN ('config', 'layer', 'blob') AND f.is_external = 0
    UNION
    SELECT p.tag_id, 4, 'manifest' || w.fault, w.blob_id
    FROM part p
    JOIN wrong w ON w.blob_id = p.manifest_id
    JOIN broken k ON k.id = p.tag_id
    JOIN repository r ON r.id = k.repository_id AND r.name = COALESCE(w.repository, r.name)
)
SELECT
    r.name AS repository,
    k.name AS tag,
    COALESCE(u.fault, 'see problems') AS fault,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS missing_digest,
    COALESCE(m.other_digest, 'sha256:' || NULLIF(lower(hex(m.hash)), '')) AS manifest_digest
FROM broken k
JOIN repository r ON r.id = k.repository_id
LEFT JOIN fault u ON u.tag_id = k.id
LEFT JOIN blob b ON b.id = u.blob_id
LEFT JOIN blob m ON m.id = k.manifest_id
ORDER BY r.name, k.name, u.position, u.fault, u.blob_id
LIMIT COALESCE(:limit, -1)
