-- title: Layers that several registries hold
-- summary: The same layer in more than one registry: what a shared cache or a merge would save
-- column: digest digest -- the layer
-- column: registry_count count -- registries that hold it
-- column: size_bytes bytes -- its bytes
-- column: saved_bytes bytes -- what all copies but one take
-- column: tag_count count -- tags that reach it, over all registries
--
-- The newest scan of each registry counts. Deduplication of the disks below is not known here.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
)
SELECT
    l.digest AS digest,
    COUNT(*) AS registry_count,
    MAX(l.size_bytes) AS size_bytes,
    (COUNT(*) - 1) * MAX(l.size_bytes) AS saved_bytes,
    SUM(l.tag_count) AS tag_count
FROM layers l
JOIN latest t ON t.registry = l.registry AND t.scan = l.scan
WHERE l.is_present
GROUP BY l.digest
HAVING COUNT(*) > 1
ORDER BY saved_bytes DESC, digest
LIMIT 100
