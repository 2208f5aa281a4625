-- title: Images by platform
-- summary: How many images there are of each operating system and architecture
-- column: platform text -- os/architecture[/variant] from the image config; empty when it says none
-- column: manifest_count count -- image manifests of it
-- column: average_bytes bytes -- logical bytes of such an image, on average
-- column: largest_bytes bytes -- the largest one
-- bar: largest_bytes
-- total: manifest_count
-- metric: regsql_platform_images{platform} = manifest_count -- image manifests by platform
--
-- Counts image manifests, tagged or not. The bytes are averages and not sums: images share layers.
SELECT
    CASE
        WHEN m.os IS NULL AND m.architecture IS NULL THEN NULL
        ELSE COALESCE(m.os, '?') || '/' || COALESCE(m.architecture, '?') || COALESCE('/' || m.variant, '')
    END AS platform,
    COUNT(*) AS manifest_count,
    CAST(AVG(m.logical_bytes) AS INTEGER) AS average_bytes,
    MAX(m.logical_bytes) AS largest_bytes
FROM manifest m
WHERE m.is_orphan = 0 AND m.kind IN ('image', 'schema1')
GROUP BY m.os, m.architecture, m.variant
ORDER BY manifest_count DESC, platform
