-- title: What to push again
-- summary: Each blob that keeps tags from being pulled, the one that breaks most first, and an image that brings it back
-- param: repository glob = * -- only tags in repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: broken_tag_count count -- tags that cannot be pulled for it
-- column: mended_tag_count count -- of those, the ones that nothing else keeps from being pulled
-- column: code text -- what is wrong with it
-- column: image text -- an image that brings it back when it is pushed again: of those that name it, the one that brings back most
-- column: repository text -- the repository in which it is not linked, when only the link is missing
-- column: digest digest -- the blob
-- next: regsql report broken-images -- every broken tag, and what is missing of it
-- next: regsql report problems -- where on disk each fault is
--
-- Blobs are shared, so pushing one image may heal many, from top to bottom. A blob that is there and
-- wrong (size-mismatch, blob-content-mismatch, manifest-unreadable) must be moved aside first: the
-- registry keeps what it has. Wrong content is known after `regsql verify --content` only. Tags that
-- are broken without a blob at fault, such as half tags, are in broken-images: push those again.
WITH RECURSIVE
-- Problems that a push of what they are about mends.
blob_problem AS (
    SELECT code, digest, repository
    FROM problem
    WHERE digest IS NOT NULL AND code IN (
        'file-unreadable', 'layer-link-unreadable', 'manifest-missing', 'manifest-unreadable',
        'manifest-too-large', 'config-missing', 'layer-missing', 'layer-link-missing',
        'size-mismatch', 'blob-content-mismatch', 'blob-unreadable')
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
named AS (
    SELECT s.digest, b.id AS blob_id
    FROM search s
    CROSS JOIN blob b ON b.id = s.low
    WHERE s.low = s.high AND COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = s.digest
),
-- One row for each thing to bring back: a blob, or its link in one repository (-1: no one's).
fault AS (
    SELECT
        n.blob_id,
        n.digest,
        CASE WHEN p.code IN ('layer-link-missing', 'layer-link-unreadable') THEN r.id ELSE -1 END AS repository_id,
        MIN(p.code) AS code
    FROM blob_problem p
    JOIN named n ON n.digest = p.digest
    LEFT JOIN repository r ON r.name = p.repository
    GROUP BY 1, 2, 3
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
breaks AS (
    SELECT DISTINCT u.blob_id, u.repository_id, t.id AS tag_id
    FROM fault u
    JOIN holder h ON h.blob_id = u.blob_id
    JOIN tag t ON t.manifest_id = h.manifest_id
    JOIN repository r ON r.id = t.repository_id
    WHERE u.repository_id IN (-1, t.repository_id) AND r.name GLOB COALESCE(:repository, '*')
),
weighed AS (
    SELECT blob_id, repository_id, tag_id, count(*) OVER (PARTITION BY tag_id) AS fault_count
    FROM breaks
),
ranked AS (
    SELECT
        w.*,
        row_number() OVER (
            PARTITION BY w.blob_id, w.repository_id
            ORDER BY w.fault_count DESC, t.pushed_ns DESC, w.tag_id) AS place
    FROM weighed w
    JOIN tag t ON t.id = w.tag_id
)
SELECT
    count(*) AS broken_tag_count,
    sum(k.fault_count = 1) AS mended_tag_count,
    u.code AS code,
    MAX(CASE WHEN k.place = 1 THEN r.name || ':' || t.name END) AS image,
    l.name AS repository,
    u.digest AS digest
FROM ranked k
JOIN fault u ON u.blob_id = k.blob_id AND u.repository_id = k.repository_id
JOIN tag t ON t.id = k.tag_id
JOIN repository r ON r.id = t.repository_id
LEFT JOIN repository l ON l.id = u.repository_id
GROUP BY u.blob_id, u.repository_id
ORDER BY broken_tag_count DESC, mended_tag_count DESC, u.digest, l.name
LIMIT COALESCE(:limit, 20)
