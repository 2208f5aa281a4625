-- title: Where the shared layers of a repository live on
-- summary: The repositories that share bytes with one repository: what stays on disk when that one is deleted
-- param: repository text -- the repository's whole name
-- param: limit limit = 20 -- rows to show
-- column: repository text -- a repository that holds them too
-- column: tag text -- one of its tags that does: the newest on the largest shared blob
-- column: shared_bytes bytes -- distinct present blobs that both reach
-- column: blob_count count -- how many these are
-- bar: shared_bytes
-- next: regsql report repositories -- what deleting each repository frees
--
-- A layer that three repositories share is in two rows, so there is no total: `repositories` has
-- the exclusive and the logical bytes, and the difference is what lives on.
WITH RECURSIVE
mine (repository_id) AS MATERIALIZED (
    SELECT id FROM repository WHERE name = :repository
),
reached (manifest_id) AS (
    SELECT r.blob_id FROM mine m CROSS JOIN revision r ON r.repository_id = m.repository_id
    UNION
    SELECT t.manifest_id FROM mine m CROSS JOIN tag t ON t.repository_id = m.repository_id
    WHERE t.manifest_id IS NOT NULL
    UNION
    SELECT f.blob_id FROM reached k CROSS JOIN reference f ON f.manifest_id = k.manifest_id
    WHERE CASE WHEN k.manifest_id >= 0 THEN f.role = 'manifest' END
),
named (blob_id) AS (
    SELECT manifest_id FROM reached
    UNION
    SELECT COALESCE(a.target_blob_id, f.blob_id)
    FROM reached k
    CROSS JOIN reference f ON f.manifest_id = k.manifest_id
    LEFT JOIN alias a ON a.blob_id = f.blob_id
    WHERE CASE WHEN k.manifest_id >= 0 THEN f.role IN ('config', 'layer', 'blob') AND f.is_external = 0 END
),
shared (blob_id, size_bytes) AS MATERIALIZED (
    SELECT b.id, b.size_bytes
    FROM named n
    CROSS JOIN blob b ON b.id = n.blob_id
    WHERE CASE WHEN n.blob_id >= 0 THEN b.is_present = 1 AND b.repository_count > 1 END
),
-- A condition on one table alone would make SQLite read all of it first, for a Bloom filter.
holder (blob_id, manifest_id) AS (
    SELECT blob_id, blob_id FROM shared
    UNION
    SELECT s.blob_id, f.manifest_id
    FROM shared s
    CROSS JOIN referenced_by x ON x.blob_id = s.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role IN ('config', 'layer', 'blob') AND f.is_external = 0 END
    UNION
    SELECT s.blob_id, f.manifest_id
    FROM shared s
    CROSS JOIN alias a ON a.target_blob_id = s.blob_id
    CROSS JOIN referenced_by x ON x.blob_id = a.blob_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role IN ('config', 'layer', 'blob') AND f.is_external = 0 END
    UNION
    SELECT h.blob_id, f.manifest_id
    FROM holder h
    CROSS JOIN referenced_by x ON x.blob_id = h.manifest_id
    CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
    WHERE CASE WHEN x.position >= 0 THEN f.role = 'manifest' END
),
other (repository_id, blob_id) AS (
    SELECT r.repository_id, h.blob_id
    FROM holder h
    CROSS JOIN revision r ON r.blob_id = h.manifest_id
    WHERE CASE WHEN h.blob_id >= 0 THEN r.repository_id NOT IN (SELECT repository_id FROM mine) END
    UNION
    SELECT t.repository_id, h.blob_id
    FROM holder h
    CROSS JOIN tag t ON t.manifest_id = h.manifest_id
    WHERE CASE WHEN h.blob_id >= 0 THEN t.repository_id NOT IN (SELECT repository_id FROM mine) END
)
SELECT
    p.name AS repository,
    (
        SELECT t.name
        FROM holder h
        CROSS JOIN tag t ON t.manifest_id = h.manifest_id
        JOIN shared s ON s.blob_id = h.blob_id
        WHERE t.repository_id = p.id
        ORDER BY s.size_bytes DESC, t.pushed_ns DESC, t.name
        LIMIT 1
    ) AS tag,
    CAST(SUM(s.size_bytes * 1.0) AS INTEGER) AS shared_bytes,
    COUNT(*) AS blob_count
FROM other o
CROSS JOIN shared s ON s.blob_id = o.blob_id
CROSS JOIN repository p ON p.id = o.repository_id
GROUP BY p.id
ORDER BY shared_bytes DESC, p.name
LIMIT COALESCE(:limit, 20)
