-- title: Build steps that give a new layer at each build
-- summary: Build steps whose layer changed from build to build of a repository, and the bytes that each build adds
-- param: builds integer 2.. = 3 -- only steps that ran in at least this many builds
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository
-- column: created_by command -- the build step
-- column: build_count count -- builds with this step whose manifests are still known, in the repository and its tags' history
-- column: layer_count count -- different layers that they made
-- column: build_bytes bytes -- bytes that it adds at each build, on average
-- column: layer_bytes bytes -- bytes of all these layers
-- bar: layer_bytes
--
-- A step counts when more than half of its builds, of one platform, made a layer that no other made. Such a step
-- copies what changes often, or does not give the same result twice (`apt-get update`, time stamps). Put it
-- after what changes seldom, and keep it small.
WITH build AS MATERIALIZED (
    SELECT repository_id, blob_id FROM revision
    UNION
    SELECT t.repository_id, e.blob_id FROM tag_entry e JOIN tag t ON t.id = e.tag_id
),
step AS MATERIALIZED (
    SELECT
        u.repository_id,
        f.build_step_id,
        COALESCE(m.os, '') || '/' || COALESCE(m.architecture, '') || '/' || COALESCE(m.variant, '') AS build_platform,
        COUNT(DISTINCT u.blob_id) AS build_count,
        COUNT(DISTINCT f.blob_id) AS layer_count
    FROM build u
    CROSS JOIN manifest m ON m.blob_id = u.blob_id
    CROSS JOIN reference f ON f.manifest_id = u.blob_id
    JOIN repository r ON r.id = u.repository_id
    WHERE f.build_step_id IS NOT NULL AND f.role = 'layer' AND r.name GLOB COALESCE(:repository, '*')
    GROUP BY u.repository_id, f.build_step_id, build_platform
    HAVING COUNT(DISTINCT u.blob_id) >= COALESCE(:builds, 3)
        AND 2 * COUNT(DISTINCT f.blob_id) > COUNT(DISTINCT u.blob_id)
),
sized AS (
    SELECT
        repository_id,
        build_step_id,
        COUNT(*) AS layer_count,
        COALESCE(SUM(size_bytes), 0) AS layer_bytes
    FROM (
        SELECT DISTINCT s.repository_id, s.build_step_id, f.blob_id, b.size_bytes
        FROM step s
        CROSS JOIN build u ON u.repository_id = s.repository_id
        CROSS JOIN manifest m ON m.blob_id = u.blob_id
        CROSS JOIN reference f ON f.manifest_id = u.blob_id AND f.build_step_id = s.build_step_id
        JOIN blob b ON b.id = f.blob_id
        WHERE COALESCE(m.os, '') || '/' || COALESCE(m.architecture, '') || '/' || COALESCE(m.variant, '') = s.build_platform
    )
    GROUP BY repository_id, build_step_id
)
SELECT
    r.name AS repository,
    c.created_by AS created_by,
    (SELECT SUM(s.build_count) FROM step s WHERE s.repository_id = z.repository_id AND s.build_step_id = z.build_step_id) AS build_count,
    z.layer_count AS layer_count,
    z.layer_bytes / z.layer_count AS build_bytes,
    z.layer_bytes AS layer_bytes
FROM sized z
JOIN repository r ON r.id = z.repository_id
JOIN build_step c ON c.id = z.build_step_id
ORDER BY z.layer_bytes DESC, r.name, c.created_by
LIMIT COALESCE(:limit, 20)
