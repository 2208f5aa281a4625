-- title: Who owns the bytes, worked out by the engine
-- summary: Follows the edges from what is kept, level by level: each blob's one owner, several, or none
-- column: registry text -- the registry
-- column: owner text -- the one repository that reaches the blobs, `(shared)`, `(kept)` for what stays without any, or `(orphans)`
-- column: blob_count count -- blobs
-- column: size_bytes bytes -- their bytes
-- column: deeper_count count -- blobs that are deeper than seven levels; 0: the figures are exact
--
-- For a registry that is too large for one machine. An owner is carried as the least and the greatest
-- repository that reaches a blob: the two are the same if and only if it is one, so there is one join a
-- level and no row for each pair. A level follows one edge: tag or revision to index, to image, to layer.
-- A level without rows costs nothing. Spark and ClickHouse work out a common table expression each time
-- that it is named: for more than a million blobs make tables of level1, level2, … there.
-- What cannot be read, and what somebody outside refers to, is in `starts` without a repository. So no blob
-- is called an orphan because the engine knows less than regsql.
WITH latest AS (
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
level1 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level0 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level2 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level1 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level3 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level2 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level4 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level3 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level5 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level4 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level6 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level5 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level7 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level6 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
level8 AS (
    SELECT
        e.registry AS registry,
        e.to_id AS blob_id,
        MIN(l.least) AS least,
        MAX(l.greatest) AS greatest,
        MAX(l.is_kept) AS is_kept
    FROM level7 l
    JOIN edge e ON e.registry = l.registry AND e.from_id = l.blob_id
    GROUP BY e.registry, e.to_id
),
reached AS (
    SELECT
        registry,
        blob_id,
        MIN(least) AS least,
        MAX(greatest) AS greatest,
        MAX(is_kept) AS is_kept,
        MAX(is_deeper) AS is_deeper
    FROM (
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level0
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level1
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level2
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level3
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level4
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level5
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level6
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 0 AS is_deeper FROM level7
        UNION ALL
        SELECT registry, blob_id, least, greatest, is_kept, 1 AS is_deeper FROM level8
    ) met
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
