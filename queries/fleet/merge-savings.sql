-- title: What two registries have in common
-- summary: For each pair of registries, the blobs that both hold: what merging the two would save
-- column: registry text -- one registry
-- column: other_registry text -- another one
-- column: blob_count count -- blobs that both hold
-- column: size_bytes bytes -- their bytes, once
--
-- The newest scan of each registry counts.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
held AS (
    SELECT b.registry AS registry, b.digest AS digest, b.size_bytes AS size_bytes
    FROM blobs b
    JOIN latest t ON t.registry = b.registry AND t.scan = b.scan
    WHERE b.is_present
)
SELECT
    a.registry AS registry,
    b.registry AS other_registry,
    COUNT(*) AS blob_count,
    SUM(a.size_bytes) AS size_bytes
FROM held a
JOIN held b ON b.digest = a.digest
WHERE a.registry < b.registry
GROUP BY a.registry, b.registry
ORDER BY size_bytes DESC, registry, other_registry
