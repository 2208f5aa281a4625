-- title: Who owns the bytes, worked out by the engine
-- summary: Follows the edges from what is kept, as deep as they lead: each blob's one owner, several, or none
-- column: registry text -- the registry
-- column: owner text -- the one repository that reaches the blobs, `(shared)`, `(kept)` for what stays without any, or `(orphans)`
-- column: blob_count count -- blobs
-- column: size_bytes bytes -- their bytes
-- column: deeper_count count -- blobs at the last step of twelve, below which nothing is followed; 0: the figures are exact
--
-- For a registry that is too large for one machine. An owner is carried as the least and the greatest
-- repository that reaches a blob: the two are the same if and only if it is one, so no row is needed for each
-- pair. A step follows one edge: tag or revision to index, to image, to layer. It goes on as long as the export
-- has edges to follow, and no further than twelve, since a damaged storage may lead in a circle.
-- What cannot be read, and what somebody outside refers to, is in `starts` without a repository. So no blob
-- is called an orphan because the engine knows less than regsql.
WITH RECURSIVE latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
edge AS (
    SELECT e.registry AS registry, e.from_id AS from_id, e.to_id AS to_id
    FROM edges e
    JOIN latest t ON t.registry = e.registry AND t.scan = e.scan
),
level0 AS (
    SELECT
        s.registry AS registry,
        s.blob_id AS blob_id,
        MIN(s.repository) AS least,
        MAX(s.repository) AS greatest,
        MAX(CASE WHEN s.repository IS NULL THEN 1 ELSE 0 END) AS is_kept
    FROM starts s
    JOIN latest t ON t.registry = s.registry AND t.scan = s.scan
    GROUP BY s.registry, s.blob_id
),
walk (registry, blob_id, least, greatest, is_kept, depth) AS (
    SELECT registry, blob_id, least, greatest, is_kept, 0 FROM level0
    UNION ALL
    SELECT e.registry, e.to_id, w.least, w.greatest, w.is_kept, w.depth + 1
    FROM walk w
    JOIN edge e ON e.registry = w.registry AND e.from_id = w.blob_id
    WHERE w.depth < 12
),
reached AS (
    SELECT
        registry,
        blob_id,
        MIN(least) AS least,
        MAX(greatest) AS greatest,
        MAX(is_kept) AS is_kept,
        MAX(CASE WHEN depth = 12 THEN 1 ELSE 0 END) AS is_deeper
    FROM walk
    GROUP BY registry, blob_id
),
owned AS (
    SELECT
        b.registry AS registry,
        CASE
            WHEN r.blob_id IS NULL THEN '(orphans)'
            WHEN r.least IS NULL THEN '(kept)'
            WHEN r.is_kept = 0 AND r.least = r.greatest THEN r.least
            ELSE '(shared)'
        END AS owner,
        b.size_bytes AS size_bytes,
        COALESCE(r.is_deeper, 0) AS is_deeper
    FROM blobs b
    JOIN latest t ON t.registry = b.registry AND t.scan = b.scan
    LEFT JOIN reached r ON r.registry = b.registry AND r.blob_id = b.blob_id
    WHERE b.size_bytes IS NOT NULL
)
SELECT
    registry,
    owner,
    COUNT(*) AS blob_count,
    SUM(size_bytes) AS size_bytes,
    SUM(is_deeper) AS deeper_count
FROM owned
GROUP BY registry, owner
ORDER BY registry, size_bytes DESC, owner
