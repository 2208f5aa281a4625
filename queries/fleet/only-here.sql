-- title: What only one registry holds
-- summary: For each registry, the blobs that no other registry of the lake has: what is lost with it
-- column: registry text -- the registry
-- column: blob_count count -- blobs that it alone holds
-- column: size_bytes bytes -- their bytes
-- column: reached_bytes bytes -- of them, what a repository reaches or something keeps: no garbage
-- column: all_bytes bytes -- all blobs of the registry
--
-- The newest scan of each registry counts.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
held AS (
    SELECT b.registry AS registry, b.digest AS digest, b.size_bytes AS size_bytes, b.is_orphan AS is_orphan
    FROM blobs b
    JOIN latest t ON t.registry = b.registry AND t.scan = b.scan
    WHERE b.is_present
),
copies AS (
    SELECT digest, COUNT(*) AS registry_count FROM held GROUP BY digest
)
SELECT
    h.registry AS registry,
    SUM(CASE WHEN c.registry_count = 1 THEN 1 ELSE 0 END) AS blob_count,
    SUM(CASE WHEN c.registry_count = 1 THEN h.size_bytes ELSE 0 END) AS size_bytes,
    SUM(CASE WHEN c.registry_count = 1 AND NOT h.is_orphan THEN h.size_bytes ELSE 0 END) AS reached_bytes,
    SUM(h.size_bytes) AS all_bytes
FROM held h
JOIN copies c ON c.digest = h.digest
GROUP BY h.registry
ORDER BY size_bytes DESC, registry
