-- title: Images that others are built on
-- summary: Images whose layers, in order, are the first layers of other images: how many, and how many bytes they share
-- param: repository glob = * -- only base images in repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: repository text -- a repository that holds the base image
-- column: tag text -- its first tag there, in any order; nothing when it has none
-- column: derived_image_count count -- images that begin with all of its layers and have more
-- column: layer_count count -- its layers
-- column: layer_bytes bytes -- the bytes of its layers, which all of them share
-- column: manifest_digest digest -- the base image
-- bar: layer_bytes
-- next: regsql report derived-images -p image=DIGEST -- which images stand on one of them
--
-- Exact: it compares the whole list of layers, in order, and no names or labels. Images with the same
-- layers and another config are not derived from each other. Deleting a base image frees next to nothing
-- while others stand on it.
WITH chain AS MATERIALIZED (
    SELECT
        f.manifest_id,
        ROW_NUMBER() OVER layers AS depth,
        group_concat(f.blob_id, ' ') OVER layers AS layers
    FROM manifest m
    CROSS JOIN reference f ON f.manifest_id = m.blob_id
    WHERE f.role = 'layer' AND m.is_orphan = 0 AND m.kind IN ('image', 'schema1')
    WINDOW layers AS (PARTITION BY f.manifest_id ORDER BY f.position ROWS UNBOUNDED PRECEDING)
),
whole AS MATERIALIZED (
    SELECT manifest_id, depth, layers
    FROM (SELECT c.*, MAX(depth) OVER (PARTITION BY manifest_id) AS layer_count FROM chain c)
    WHERE depth = layer_count
),
base AS MATERIALIZED (
    SELECT w.manifest_id, w.depth, COUNT(*) AS derived_image_count
    FROM whole w
    JOIN chain c ON c.layers = w.layers
    JOIN whole d ON d.manifest_id = c.manifest_id AND d.depth > c.depth
    GROUP BY w.manifest_id
),
placed AS (
    SELECT i.*, MIN(v.repository_id) AS repository_id
    FROM base i
    JOIN revision v ON v.blob_id = i.manifest_id
    JOIN repository r ON r.id = v.repository_id
    WHERE r.name GLOB COALESCE(:repository, '*')
    GROUP BY i.manifest_id
)
SELECT
    r.name AS repository,
    (SELECT MIN(t.name) FROM tag t WHERE t.manifest_id = p.manifest_id AND t.repository_id = p.repository_id) AS tag,
    p.derived_image_count AS derived_image_count,
    p.depth AS layer_count,
    (
        SELECT COALESCE(SUM(size_bytes), 0)
        FROM blob
        WHERE id IN (SELECT f.blob_id FROM reference f WHERE f.manifest_id = p.manifest_id AND f.role = 'layer')
    ) AS layer_bytes,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest
FROM placed p
JOIN repository r ON r.id = p.repository_id
JOIN blob b ON b.id = p.manifest_id
ORDER BY p.derived_image_count DESC, layer_bytes DESC, p.manifest_id
LIMIT COALESCE(:limit, 20)
