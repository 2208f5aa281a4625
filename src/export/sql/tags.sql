-- The tags with the most logical bytes, with the layers that their manifests list and the sizes that these declare, as
-- the docker-registry-exporter counts them: a digest that is listed twice counts twice. An index has the sum over its
-- children, each child once. What a tag whose manifest cannot be read holds is unknown: it is left out.
WITH RECURSIVE
chosen AS (
    SELECT r.name AS repository, t.name AS tag, t.manifest_id AS manifest_id
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    JOIN manifest m ON m.blob_id = t.manifest_id
    WHERE m.is_readable = 1
    ORDER BY t.logical_bytes DESC, r.name, t.name
    LIMIT ?1
),
-- Indexes within indexes are rare and shallow; a chain without end, made to be slow, is not followed.
reached (top_id, manifest_id, depth) AS (
    SELECT DISTINCT manifest_id, manifest_id, 0 FROM chosen
    UNION
    SELECT u.top_id, e.blob_id, u.depth + 1
    FROM reached u
    JOIN manifest m ON m.blob_id = u.manifest_id AND m.kind = 'index'
    JOIN reference e ON e.manifest_id = u.manifest_id AND e.role = 'manifest'
    WHERE u.depth < 8
),
figure AS (
    SELECT u.top_id AS top_id, count(*) AS layer_count, total(COALESCE(e.declared_bytes, b.size_bytes)) AS size_bytes
    FROM (SELECT DISTINCT top_id, manifest_id FROM reached) u
    JOIN reference e ON e.manifest_id = u.manifest_id AND e.role = 'layer'
    JOIN blob b ON b.id = e.blob_id
    GROUP BY u.top_id
)
SELECT c.repository, c.tag, COALESCE(f.layer_count, 0), COALESCE(f.size_bytes, 0.0)
FROM chosen c
LEFT JOIN figure f ON f.top_id = c.manifest_id
ORDER BY c.repository, c.tag
