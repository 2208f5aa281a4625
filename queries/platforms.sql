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
        WHEN p.os IS NULL AND p.architecture IS NULL THEN NULL
        ELSE COALESCE(p.os, '?') || '/' || COALESCE(p.architecture, '?') || COALESCE('/' || p.variant, '')
    END AS platform,
    p.image_count AS manifest_count,
    p.logical_bytes / p.image_count AS average_bytes,
    p.largest_bytes AS largest_bytes
FROM platform_use p
ORDER BY p.image_count DESC, platform
