-- title: Tags that cannot be pulled
-- summary: Tags of which a part is missing, in all registries, and whether another registry has the manifest
-- column: registry text -- the registry
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: manifest_digest digest -- what it points at; nothing when that cannot be read
-- column: pushed_at time -- when it was last set
-- column: whole_registry_count count -- other registries in which a tag has that manifest and is whole: pull it there and push it again
--
-- The newest scan of each registry counts. `regsql report broken-images` says what is missing.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
tag AS (
    SELECT
        a.registry AS registry,
        a.repository AS repository,
        a.tag AS tag,
        a.manifest_digest AS manifest_digest,
        a.pushed_at AS pushed_at,
        a.is_broken AS is_broken
    FROM tags a
    JOIN latest t ON t.registry = a.registry AND t.scan = a.scan
),
whole AS (
    SELECT manifest_digest, COUNT(DISTINCT registry) AS registry_count
    FROM tag
    WHERE NOT is_broken
    GROUP BY manifest_digest
),
whole_here AS (
    SELECT DISTINCT registry, manifest_digest FROM tag WHERE NOT is_broken
)
SELECT
    b.registry AS registry,
    b.repository AS repository,
    b.tag AS tag,
    b.manifest_digest AS manifest_digest,
    b.pushed_at AS pushed_at,
    COALESCE(w.registry_count, 0) - CASE WHEN h.registry IS NULL THEN 0 ELSE 1 END AS whole_registry_count
FROM tag b
LEFT JOIN whole w ON w.manifest_digest = b.manifest_digest
LEFT JOIN whole_here h ON h.registry = b.registry AND h.manifest_digest = b.manifest_digest
WHERE b.is_broken
ORDER BY registry, repository, tag
