-- Views that several queries of regsql's own share. They may change with any version, so `regsql schema` leaves them out.

-- The blob that a problem is about, where whatever needs the blob cannot be pulled for it.
CREATE VIEW problem_blob AS
-- Ids follow the order of digests: the blob of a digest is found by halving.
WITH RECURSIVE search (problem_id, digest, low, high) AS (
    SELECT p.id, p.digest, (SELECT MIN(id) FROM blob), (SELECT MAX(id) + 1 FROM blob)
    FROM problem p
    WHERE p.digest IS NOT NULL AND p.code IN (
        'file-unreadable', 'layer-link-unreadable', 'manifest-missing', 'manifest-unreadable',
        'manifest-too-large', 'reference-invalid', 'config-missing', 'layer-missing',
        'layer-link-missing', 'child-without-revision', 'size-mismatch', 'blob-content-mismatch', 'blob-unreadable')
    UNION ALL
    SELECT
        s.problem_id,
        s.digest,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN b.id + 1 ELSE s.low END,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN s.high ELSE b.id END
    FROM search s
    CROSS JOIN blob b ON b.id = (s.low + s.high) / 2
    WHERE s.low < s.high
)
SELECT s.problem_id AS problem_id, b.id AS blob_id
FROM search s
CROSS JOIN blob b ON b.id = s.low
WHERE s.low = s.high AND COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = s.digest;

-- Manifests that cannot be pulled whole without one of those blobs.
CREATE VIEW problem_holder AS
WITH RECURSIVE named AS MATERIALIZED (
    SELECT DISTINCT blob_id FROM problem_blob
),
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
)
SELECT blob_id, manifest_id FROM holder;

-- Tags that cannot be pulled for a problem.
CREATE VIEW problem_tag AS
WITH holder AS MATERIALIZED (
    SELECT blob_id, manifest_id FROM problem_holder
)
SELECT p.id AS problem_id, t.id AS tag_id
FROM problem_blob n
CROSS JOIN problem p ON p.id = n.problem_id
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
WHERE p.code = 'revisions-directory-missing';
