-- Every problem, how much it counts, and which tags cannot be pulled for it.
WITH RECURSIVE
-- Problems that keep whatever needs the blob from being pulled.
blob_problem AS (
    SELECT id, digest, repository
    FROM problem
    WHERE digest IS NOT NULL AND code IN (
        'file-unreadable', 'layer-link-unreadable', 'manifest-missing', 'manifest-unreadable',
        'manifest-too-large', 'reference-invalid', 'config-missing', 'layer-missing',
        'layer-link-missing', 'child-without-revision', 'size-mismatch', 'blob-content-mismatch', 'blob-unreadable')
),
-- Ids follow the order of digests: the blob of a digest is found by halving.
search (digest, low, high) AS (
    SELECT p.digest, (SELECT MIN(id) FROM blob), (SELECT MAX(id) + 1 FROM blob)
    FROM (SELECT DISTINCT digest FROM blob_problem) p
    UNION ALL
    SELECT
        s.digest,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN b.id + 1 ELSE s.low END,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN s.high ELSE b.id END
    FROM search s
    CROSS JOIN blob b ON b.id = (s.low + s.high) / 2
    WHERE s.low < s.high
),
named AS MATERIALIZED (
    SELECT s.digest, b.id AS blob_id
    FROM search s
    CROSS JOIN blob b ON b.id = s.low
    WHERE s.low = s.high AND COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = s.digest
),
-- Manifests that cannot be pulled whole without the blob.
holder (blob_id, manifest_id) AS (
    SELECT blob_id, blob_id FROM named
    UNION
    SELECT n.blob_id, f.manifest_id
    FROM named n
    CROSS JOIN referenced_by x ON x.blob_id = n.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE f.role IN ('config', 'layer', 'manifest') AND f.is_external = 0
    UNION
    -- A digest of another algorithm that stands for the blob.
    SELECT n.blob_id, f.manifest_id
    FROM named n
    CROSS JOIN alias a ON a.target_blob_id = n.blob_id
    CROSS JOIN referenced_by x ON x.blob_id = a.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE f.role IN ('config', 'layer', 'manifest') AND f.is_external = 0
    UNION
    SELECT h.blob_id, f.manifest_id
    FROM holder h
    CROSS JOIN referenced_by x ON x.blob_id = h.manifest_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE f.role = 'manifest'
),
breaks (problem_id, tag_id) AS (
    SELECT p.id, t.id
    FROM blob_problem p
    CROSS JOIN named n ON n.digest = p.digest
    CROSS JOIN holder h ON h.blob_id = n.blob_id
    CROSS JOIN tag t ON t.manifest_id = h.manifest_id
    WHERE p.repository IS NULL
        OR t.repository_id = (SELECT r.id FROM repository r WHERE r.name = p.repository)
    UNION
    -- The tag itself is at fault; its path names it.
    SELECT p.id, t.id
    FROM problem p
    JOIN repository r ON r.name = p.repository
    JOIN tag t ON t.repository_id = r.id AND t.name = replace(
        substr(p.path, instr(p.path, '/_manifests/tags/') + length('/_manifests/tags/')), '/current/link', '')
    WHERE p.code IN ('tag-link-unreadable', 'half-tag', 'tag-without-revision')
    UNION
    SELECT p.id, t.id
    FROM problem p
    JOIN repository r ON r.name = p.repository
    JOIN tag t ON t.repository_id = r.id
    WHERE p.code = 'revisions-directory-missing'
),
broken AS MATERIALIZED (
    SELECT
        b.problem_id,
        count(*) AS tag_count,
        group_concat(r.name || ':' || t.name, ', ' ORDER BY b.tag_id) FILTER (WHERE b.place <= 3)
            || CASE WHEN count(*) > 3 THEN ', …' ELSE '' END AS tags
    FROM (
        SELECT problem_id, tag_id, row_number() OVER (PARTITION BY problem_id ORDER BY tag_id) AS place
        FROM breaks
    ) b
    JOIN tag t ON t.id = b.tag_id
    JOIN repository r ON r.id = t.repository_id
    GROUP BY b.problem_id
),
weighed AS (
    SELECT
        p.id, p.code, p.repository, p.path, p.detail, p.digest,
        COALESCE(json_extract(:severities, '$."' || p.code || '"'), p.severity) AS severity
    FROM problem p
)
SELECT
    w.severity AS severity,
    w.code AS code,
    w.repository AS repository,
    w.path AS path,
    w.detail AS detail,
    COALESCE(b.tag_count, 0) AS broken_tag_count,
    b.tags AS first_broken_tags,
    w.digest AS digest
FROM weighed w
LEFT JOIN broken b ON b.problem_id = w.id
WHERE w.severity <> 'off'
ORDER BY CASE w.severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, w.code, w.path, w.digest, w.id
