-- title: What to push again
-- summary: Each blob that keeps tags from being pulled, the one that breaks most first, and an image that brings it back
-- param: repository glob = * -- only tags in repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: broken_tag_count count -- tags that cannot be pulled for it
-- column: mended_tag_count count -- of those, the ones that nothing else keeps from being pulled
-- column: code text -- what is wrong with it
-- column: image text -- an image that brings it back when it is pushed again: of those that name it, the one that brings back most
-- column: digest digest -- the blob
-- column: repository text -- the repository in which it is not linked, when only the link is missing
-- next: regsql report broken-images -- every broken tag, and what is missing of it
-- next: regsql report problems -- where on disk each fault is
--
-- Blobs are shared, so pushing one image may heal many, from top to bottom. A blob that is there and
-- wrong (size-mismatch, blob-content-mismatch, manifest-unreadable) must be moved aside first: the
-- registry keeps what it has. Wrong content is known after `regsql verify --content` only. Tags that
-- are broken without a blob at fault, such as half tags, are in broken-images: push those again.
WITH
-- One row for each thing to bring back: a blob, or its link in one repository (-1: no one's).
fault AS (
    SELECT
        n.blob_id,
        p.digest,
        CASE WHEN p.code IN (
            'layer-link-missing', 'revision-link-unreadable', 'layer-link-unreadable', 'link-whitespace', 'link-mismatch')
            THEN r.id ELSE -1 END AS repository_id,
        MIN(p.code) AS code
    FROM problem_blob n
    JOIN problem p ON p.id = n.problem_id
    LEFT JOIN repository r ON r.name = p.repository
    -- Of the others, no push of the blob mends any.
    WHERE p.code NOT IN ('reference-invalid', 'not-a-manifest', 'child-without-revision', 'declared-size-wrong')
    GROUP BY 1, 2, 3
),
breaks AS (
    SELECT DISTINCT u.blob_id, u.repository_id, t.id AS tag_id
    FROM fault u
    JOIN problem_holder h ON h.blob_id = u.blob_id
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
    u.digest AS digest,
    l.name AS repository
FROM ranked k
JOIN fault u ON u.blob_id = k.blob_id AND u.repository_id = k.repository_id
JOIN tag t ON t.id = k.tag_id
JOIN repository r ON r.id = t.repository_id
LEFT JOIN repository l ON l.id = u.repository_id
GROUP BY u.blob_id, u.repository_id
ORDER BY broken_tag_count DESC, mended_tag_count DESC, u.digest, l.name
LIMIT COALESCE(:limit, 20)
