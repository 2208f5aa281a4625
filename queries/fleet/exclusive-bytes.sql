-- title: Exclusive bytes over the union of all registries
-- summary: What each repository alone needs, in its registry and if all registries were one
-- column: registry text -- the registry
-- column: repository text -- the repository
-- column: logical_bytes bytes -- distinct present blobs that it reaches
-- column: exclusive_bytes bytes -- of them, reached by no other repository of the registry and kept by nothing else
-- column: union_exclusive_bytes bytes -- of them, reached by no other repository of any registry and kept by nothing else
--
-- Worked out from `reach`, one row for each repository and blob. Rows without a repository stand for what
-- stays whatever repositories say. The newest scan of each registry counts.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
pair AS (
    SELECT r.registry AS registry, r.repository AS repository, b.digest AS digest, b.size_bytes AS size_bytes
    FROM reach r
    JOIN latest t ON t.registry = r.registry AND t.scan = r.scan
    JOIN blobs b ON b.registry = r.registry AND b.scan = r.scan AND b.blob_id = r.blob_id
    WHERE b.size_bytes IS NOT NULL
),
here AS (
    SELECT registry, digest, COUNT(*) AS keeper_count FROM pair GROUP BY registry, digest
),
anywhere AS (
    SELECT digest, COUNT(*) AS keeper_count FROM pair GROUP BY digest
)
SELECT
    p.registry AS registry,
    p.repository AS repository,
    SUM(p.size_bytes) AS logical_bytes,
    SUM(CASE WHEN h.keeper_count = 1 THEN p.size_bytes ELSE 0 END) AS exclusive_bytes,
    SUM(CASE WHEN a.keeper_count = 1 THEN p.size_bytes ELSE 0 END) AS union_exclusive_bytes
FROM pair p
JOIN here h ON h.registry = p.registry AND h.digest = p.digest
JOIN anywhere a ON a.digest = p.digest
WHERE p.repository IS NOT NULL
GROUP BY p.registry, p.repository
ORDER BY union_exclusive_bytes DESC, registry, repository
