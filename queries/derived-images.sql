-- title: Images that stand on one
-- summary: Images whose first layers are all layers of one image, in order
-- param: image text -- the base image: REPOSITORY:TAG, or its digest
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- a tag of it; nothing when only an index or its digest leads to it
-- column: added_layer_count count -- layers on top of the base image
-- column: added_bytes bytes -- their bytes
-- column: pushed_at time -- when it was pushed
-- column: manifest_digest digest -- the image
-- bar: added_bytes
--
-- Exact: all layers of the base image, in order, and then at least one more. Of a multi-platform base image
-- every platform counts. Rebuild these when the base image has a fix.
WITH named (manifest_id) AS (
    SELECT t.manifest_id
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    WHERE t.manifest_id IS NOT NULL AND :image LIKE '%:%'
        AND t.name = replace(:image, r.name || ':', '') AND r.name || ':' || t.name = :image
    UNION
    SELECT m.blob_id
    FROM manifest m
    JOIN blob b ON b.id = m.blob_id
    WHERE COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = :image
    UNION
    SELECT f.blob_id
    FROM named n
    CROSS JOIN reference f ON f.manifest_id = n.manifest_id
    WHERE CASE WHEN n.manifest_id >= 0 THEN f.role = 'manifest' END
),
-- A condition on one table alone would make SQLite read all of it first, for a Bloom filter.
base AS MATERIALIZED (
    SELECT n.manifest_id, COUNT(*) AS depth, MAX(f.position) AS last_position
    FROM named n
    CROSS JOIN reference f ON f.manifest_id = n.manifest_id
    WHERE CASE WHEN n.manifest_id >= 0 THEN f.role = 'layer' END
    GROUP BY n.manifest_id
),
-- Whoever stands on it names its last layer.
candidate AS MATERIALIZED (
    SELECT DISTINCT i.manifest_id AS base_id, i.depth, x.manifest_id
    FROM base i
    CROSS JOIN reference l ON l.manifest_id = i.manifest_id AND l.position = i.last_position
    CROSS JOIN referenced_by x ON x.blob_id = l.blob_id
    WHERE x.manifest_id <> i.manifest_id
),
chain AS MATERIALIZED (
    SELECT
        k.manifest_id,
        f.blob_id,
        ROW_NUMBER() OVER (PARTITION BY k.manifest_id ORDER BY f.position) AS depth
    FROM (SELECT manifest_id FROM candidate UNION SELECT manifest_id FROM base) k
    CROSS JOIN reference f ON f.manifest_id = k.manifest_id
    WHERE CASE WHEN k.manifest_id >= 0 THEN f.role = 'layer' END
),
derived AS MATERIALIZED (
    SELECT k.manifest_id, MAX(k.depth) AS depth
    FROM candidate k
    WHERE NOT EXISTS (
        SELECT 1
        FROM chain w
        WHERE w.manifest_id = k.base_id
            AND NOT EXISTS (
                SELECT 1 FROM chain d
                WHERE d.manifest_id = k.manifest_id AND d.depth = w.depth AND d.blob_id = w.blob_id)
    )
    GROUP BY k.manifest_id
),
added AS MATERIALIZED (
    SELECT d.manifest_id, COUNT(*) AS layer_count, CAST(SUM(b.size_bytes * 1.0) AS INTEGER) AS bytes
    FROM derived d
    JOIN chain c ON c.manifest_id = d.manifest_id AND c.depth > d.depth
    JOIN blob b ON b.id = c.blob_id
    GROUP BY d.manifest_id
)
SELECT
    r.name AS repository,
    t.name AS tag,
    a.layer_count AS added_layer_count,
    COALESCE(a.bytes, 0) AS added_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', COALESCE(t.pushed_ns, v.pushed_ns) / 1000000000, 'unixepoch') AS pushed_at,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest
FROM added a
CROSS JOIN revision v ON v.blob_id = a.manifest_id
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = a.manifest_id
LEFT JOIN tag t ON t.manifest_id = a.manifest_id AND t.repository_id = v.repository_id
ORDER BY r.name, t.name, a.manifest_id
LIMIT COALESCE(:limit, -1)
