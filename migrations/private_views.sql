-- Views that several queries of regsql's own share. They may change with any version, so `regsql schema` leaves them out.

-- The blob that a problem is about, where whatever needs the blob cannot be pulled for it.
CREATE VIEW problem_blob AS
-- Ids follow the order of digests, with gaps: the blob of a digest is found by halving.
WITH RECURSIVE search (problem_id, digest, low, high) AS (
    SELECT p.id, p.digest, (SELECT MIN(id) FROM blob), (SELECT MAX(id) + 1 FROM blob)
    FROM problem p
    WHERE p.digest IS NOT NULL AND p.code IN (
        'revision-link-unreadable', 'layer-link-unreadable', 'link-whitespace', 'link-mismatch', 'manifest-missing', 'manifest-unreadable',
        'not-a-manifest', 'manifest-too-large', 'reference-invalid', 'config-missing', 'layer-missing',
        'layer-link-missing', 'child-without-revision', 'size-mismatch', 'declared-size-wrong',
        'blob-content-mismatch', 'blob-unreadable')
    UNION ALL
    SELECT
        s.problem_id,
        s.digest,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN b.id + 1 ELSE s.low END,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (s.digest NOT LIKE 'sha256:%', s.digest) THEN s.high ELSE (s.low + s.high) / 2 END
    FROM search s
    CROSS JOIN blob b ON b.id = (SELECT MIN(id) FROM blob WHERE id >= (s.low + s.high) / 2)
    WHERE s.low < s.high
)
SELECT s.problem_id AS problem_id, b.id AS blob_id
FROM search s
CROSS JOIN blob b ON b.id = (SELECT MIN(id) FROM blob WHERE id >= s.low)
WHERE s.low = s.high AND COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = s.digest;

-- Manifests that cannot be pulled whole without one of those blobs.
CREATE VIEW problem_holder AS
WITH RECURSIVE named AS MATERIALIZED (
    SELECT DISTINCT blob_id FROM problem_blob
),
-- A condition on one table alone would make SQLite read all of it first, for a Bloom filter.
holder (blob_id, manifest_id) AS (
    SELECT blob_id, blob_id FROM named
    UNION
    SELECT n.blob_id, f.manifest_id
    FROM named n
    CROSS JOIN referenced_by x ON x.blob_id = n.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role IN ('config', 'layer', 'manifest') AND f.is_external = 0 END
    UNION
    -- A digest of another algorithm that stands for the blob.
    SELECT n.blob_id, f.manifest_id
    FROM named n
    CROSS JOIN alias a ON a.target_blob_id = n.blob_id
    CROSS JOIN referenced_by x ON x.blob_id = a.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role IN ('config', 'layer', 'manifest') AND f.is_external = 0 END
    UNION
    SELECT h.blob_id, f.manifest_id
    FROM holder h
    CROSS JOIN referenced_by x ON x.blob_id = h.manifest_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role = 'manifest' END
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
    OR p.code = 'link-whitespace' AND p.digest IS NULL
UNION
SELECT p.id, t.id
FROM problem p
JOIN repository r ON r.name = p.repository
JOIN tag t ON t.repository_id = r.id
WHERE p.code = 'revisions-directory-missing';

-- What exports of roots say of pulls: only those that have a time of one in any row. No time is then an image that was
-- never pulled.
CREATE VIEW root_pull AS
SELECT n.name AS repository, b.blob_id AS blob_id, x.pulled_ns AS pulled_ns, s.exported_ns AS exported_ns
FROM root_blob b
CROSS JOIN root_row x ON x.id = b.root_id
JOIN root_repository n ON n.id = x.repository_id
JOIN root_source s ON s.id = x.source_id
WHERE s.has_pulls;

-- When a tag was last pulled: by its name, by the digest that it points at, or by a platform of it. Pulls by name count
-- whatever the tag pointed at then.
CREATE VIEW tag_pull AS
SELECT tag_id, NULLIF(MAX(by_name_ns, by_digest_ns, by_platform_ns, by_root_ns), 0) AS pulled_ns
FROM (
    SELECT
        t.id AS tag_id,
        COALESCE((
            SELECT MAX(p.last_pulled_ns) FROM pull p WHERE p.repository = r.name AND p.reference = t.name
        ), 0) AS by_name_ns,
        COALESCE((
            SELECT MAX(p.last_pulled_ns) FROM pull p
            WHERE p.repository = r.name
                AND p.manifest_digest = COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash)))
        ), 0) AS by_digest_ns,
        COALESCE((
            SELECT MAX(p.last_pulled_ns)
            FROM reference f
            JOIN blob x ON x.id = f.blob_id
            JOIN pull p ON p.repository = r.name
                AND p.manifest_digest = COALESCE(x.other_digest, 'sha256:' || lower(hex(x.hash)))
            WHERE f.manifest_id = t.manifest_id AND f.role = 'manifest'
        ), 0) AS by_platform_ns,
        COALESCE((
            SELECT MAX(p.pulled_ns) FROM root_pull p
            WHERE p.repository = r.name AND p.blob_id IN (
                SELECT t.manifest_id
                UNION ALL
                SELECT f.blob_id FROM reference f WHERE f.manifest_id = t.manifest_id AND f.role = 'manifest')
        ), 0) AS by_root_ns
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    LEFT JOIN blob b ON b.id = t.manifest_id
);

-- When a revision was last pulled: by its digest, or by a tag that points at it now where the source does not say what
-- the tag gave.
CREATE VIEW revision_pull AS
SELECT repository_id, blob_id, NULLIF(MAX(by_digest_ns, by_tag_ns, by_root_ns), 0) AS pulled_ns
FROM (
    SELECT
        v.repository_id AS repository_id,
        v.blob_id AS blob_id,
        COALESCE((
            SELECT MAX(p.last_pulled_ns) FROM pull p
            WHERE p.repository = r.name
                AND p.manifest_digest = COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash)))
        ), 0) AS by_digest_ns,
        COALESCE((
            SELECT MAX(p.last_pulled_ns)
            FROM tag t
            JOIN pull p ON p.repository = r.name AND p.reference = t.name AND p.manifest_digest = ''
            WHERE t.manifest_id = v.blob_id AND t.repository_id = v.repository_id
        ), 0) AS by_tag_ns,
        COALESCE((
            SELECT MAX(p.pulled_ns) FROM root_pull p WHERE p.repository = r.name AND p.blob_id = v.blob_id
        ), 0) AS by_root_ns
    FROM revision v
    JOIN repository r ON r.id = v.repository_id
    JOIN blob b ON b.id = v.blob_id
);

-- The time without gaps, up to the newest, for which pulls are known: one row or none.
CREATE VIEW pull_watch AS
SELECT from_ns, to_ns FROM pull_coverage ORDER BY to_ns DESC LIMIT 1;

-- What could not be read, in one row, and what helps; no row where all could be. What is there is unknown.
CREATE VIEW unreadable_place AS
SELECT
    COUNT(*) AS place_count,
    CASE COUNT(*)
        WHEN SUM(code = 'directory-unreadable')
            THEN CASE COUNT(*) WHEN 1 THEN 'directory' ELSE 'directories' END || ' unreadable'
        WHEN SUM(code = 'symlink-not-followed')
            THEN CASE COUNT(*) WHEN 1 THEN 'symbolic link' ELSE 'symbolic links' END || ' not followed'
        ELSE CASE COUNT(*) WHEN 1 THEN 'place' ELSE 'places' END || ' unreadable'
    END AS what,
    CASE
        WHEN MAX(detail LIKE '%Permission denied%') THEN 'Permission denied'
        ELSE MIN(CASE WHEN code <> 'symlink-not-followed' THEN detail END)
    END AS reason,
    CASE
        WHEN MAX(detail LIKE '%Permission denied%') THEN 'scan as root or the registry''s user'
        WHEN MAX(detail LIKE 'GET of `%') THEN 'regsql report problems shows what the provider says of each'
        WHEN COUNT(*) = SUM(code = 'symlink-not-followed') THEN 'mount what it leads to there instead'
        ELSE 'look at the disk or its mount'
    END AS advice
FROM problem
WHERE code IN ('directory-unreadable', 'file-unreadable', 'symlink-not-followed')
HAVING COUNT(*) > 0;
