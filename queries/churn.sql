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
WITH step AS (
    SELECT
        c.repository_id,
        c.build_step_id,
        SUM(c.build_count) AS build_count,
        SUM(c.layer_count) AS layer_count,
        CAST(SUM(c.layer_bytes * 1.0) AS INTEGER) AS layer_bytes
    FROM changing_step c
    WHERE c.build_count >= COALESCE(:builds, 3)
    GROUP BY c.repository_id, c.build_step_id
)
SELECT
    r.name AS repository,
    c.created_by AS created_by,
    s.build_count AS build_count,
    s.layer_count AS layer_count,
    s.layer_bytes / s.layer_count AS build_bytes,
    s.layer_bytes AS layer_bytes
FROM step s
JOIN repository r ON r.id = s.repository_id
JOIN build_step c ON c.id = s.build_step_id
WHERE r.name GLOB COALESCE(:repository, '*')
ORDER BY s.layer_bytes DESC, r.name, c.created_by
LIMIT COALESCE(:limit, 20)
