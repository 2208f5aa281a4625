-- title: What the images of the fleet stand on
-- summary: Each bottom layer with the images on it, where they lie, and how old its newest build is
-- column: digest digest -- the bottom layer
-- column: image_count count -- images that begin with it, each digest once
-- column: registry_count count -- registries that hold one of them
-- column: repository_count count -- repositories that hold one of them
-- column: size_bytes bytes -- the bytes of the layer, once
-- column: newest_created_at time -- when the newest of these images was built
-- column: is_old flag -- that was more than 180 days before the newest scan of the lake
-- column: example text -- the tag with the fewest layers among them: the base image itself, where it is stored
--
-- The bottom layer is a distribution's root file system, for nearly all images. `is_old` says that nobody
-- builds on it any more, or builds with times that say nothing: reproducible builds have no time at all.
-- For the exact chain of layers in one registry: `regsql report base-images`. The newest scan of each
-- registry counts.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan, MAX(finished_at) AS finished_at FROM scan_info GROUP BY registry
),
today AS (
    SELECT MAX(finished_at) AS at FROM latest
),
layer AS (
    SELECT
        r.registry AS registry,
        r.scan AS scan,
        r.manifest_id AS manifest_id,
        r.digest AS digest,
        ROW_NUMBER() OVER (PARTITION BY r.registry, r.scan, r.manifest_id ORDER BY r.position) AS height
    FROM manifest_references r
    JOIN latest t ON t.registry = r.registry AND t.scan = r.scan
    WHERE r.role = 'layer'
),
image AS (
    SELECT
        m.registry AS registry,
        m.scan AS scan,
        m.blob_id AS manifest_id,
        m.digest AS manifest_digest,
        m.layer_count AS layer_count,
        CASE WHEN m.created_at >= TIMESTAMP '1980-01-02 00:00:00' THEN m.created_at END AS created_at,
        l.digest AS digest
    FROM manifests m
    JOIN layer l ON l.registry = m.registry AND l.scan = m.scan AND l.manifest_id = m.blob_id
    WHERE m.kind = 'image' AND l.height = 1
),
size AS (
    SELECT l.digest AS digest, MAX(l.size_bytes) AS size_bytes
    FROM layers l
    JOIN latest t ON t.registry = l.registry AND t.scan = l.scan
    GROUP BY l.digest
),
place AS (
    SELECT DISTINCT i.digest AS digest, v.registry AS registry, v.repository AS repository
    FROM image i
    JOIN revisions v ON v.registry = i.registry AND v.scan = i.scan AND v.manifest_id = i.manifest_id
),
placed AS (
    SELECT digest, COUNT(DISTINCT registry) AS registry_count, COUNT(*) AS repository_count
    FROM place
    GROUP BY digest
),
tagged AS (
    SELECT
        i.digest AS digest,
        i.registry || ' ' || t.repository || ':' || t.tag AS example,
        ROW_NUMBER() OVER (
            PARTITION BY i.digest ORDER BY i.layer_count, i.registry, t.repository, t.tag
        ) AS place
    FROM image i
    JOIN tags t ON t.registry = i.registry AND t.scan = i.scan AND t.manifest_id = i.manifest_id
),
base AS (
    SELECT
        digest,
        COUNT(DISTINCT manifest_digest) AS image_count,
        MAX(created_at) AS newest_created_at
    FROM image
    GROUP BY digest
)
SELECT
    b.digest AS digest,
    b.image_count AS image_count,
    COALESCE(p.registry_count, 0) AS registry_count,
    COALESCE(p.repository_count, 0) AS repository_count,
    s.size_bytes AS size_bytes,
    b.newest_created_at AS newest_created_at,
    b.newest_created_at < d.at - INTERVAL '180' DAY AS is_old,
    t.example AS example
FROM base b
CROSS JOIN today d
LEFT JOIN placed p ON p.digest = b.digest
LEFT JOIN size s ON s.digest = b.digest
LEFT JOIN tagged t ON t.digest = b.digest AND t.place = 1
ORDER BY image_count DESC, digest
LIMIT 100
