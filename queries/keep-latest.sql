-- title: Tags of all images but the newest few of each repository
-- summary: Tags of the images that a keep-the-newest-N policy removes, repository by repository
-- param: keep integer 0.. = 5 -- images of each repository that stay, with all their tags
-- param: order version|pushed|created|pulled = version -- what makes an image newer: its best version, when its newest tag was set, when it was built, or when it was last pulled
-- param: match glob = * -- only tags that match take part; an image with another tag stays
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- a tag of an image that goes
-- column: newer_image_count count -- newer images in its repository that took part
-- column: exclusive_bytes bytes -- freed by deleting this image with all its tags
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: pushed_at time -- when the tag was last set
-- column: ranked_by text -- what the image was ranked by: `order`, or creation times where push times say nothing
-- column: manifest_digest digest -- the image
-- bar: exclusive_bytes
-- selects: tags
-- next: regsql report keep-latest --what-if -- what dropping all of these frees together
-- notices-from: equal-times
--
-- It counts images, not tags: each digest of a repository once, ranked by the best of its tags. The
-- newest `keep` stay with every tag that they have, and a tag is only named when its image goes. A
-- multi-platform image is one image, and so are the tags of its platforms (`1.4-amd64`).
--
-- With `order=version` a tag counts as [retention.md](retention.md) orders versions. A floating tag,
-- such as `1.4` beside `1.4.2`, stands for the newest of its line. An image with a tag that is no
-- version (`latest`, `prod`, `main`) always stays; a commit hash beside a version goes with its image.
--
-- With `order=pushed`, `created` or `pulled` every image takes part whose time is known. Where most
-- push times of a repository are equal, because it was copied, creation times count instead; where
-- those are equal too, nothing of the repository is named. An image that was not pulled counts from
-- when it was pushed.
--
-- Signatures and other tags `sha256-…` belong to the image that they name: they are not counted, and
-- go with it. Tags share layers, so the whole set frees more than the sum of what each image frees
-- alone. `--what-if` shows what it frees, and `regsql free 10GiB` which of these tags are enough.
WITH is_counted (by_scan) AS (
    -- Versions of all tags, unless an older regsql made the scan.
    SELECT COALESCE(:match, '*') = '*' AND COALESCE(:order, 'version') = 'version'
        AND EXISTS (SELECT 1 FROM image WHERE newer_version_count IS NOT NULL)
),
candidate AS MATERIALIZED (
    SELECT
        t.repository_id,
        t.manifest_id,
        o.has_equal_pushes,
        o.has_equal_creations,
        MAX(CASE WHEN t.name GLOB COALESCE(:match, '*') THEN t.version_key END) AS version_key,
        MAX(CASE WHEN t.name GLOB COALESCE(:match, '*') AND c.class IS NOT 'referrer' THEN t.pushed_ns END) AS pushed_ns,
        MAX(CASE WHEN t.name GLOB COALESCE(:match, '*') AND c.class IS NOT 'referrer' THEN t.name END) AS name,
        -- A tag that stays keeps its image.
        MAX(
            t.name NOT GLOB COALESCE(:match, '*')
            OR c.class IS 'referrer'
            OR (COALESCE(:order, 'version') = 'version' AND t.version_key IS NULL AND c.class IS NOT 'commit')
            OR (COALESCE(:order, 'version') IN ('pushed', 'pulled') AND t.pushed_ns IS NULL)
        ) AS is_kept
    -- Where no more images are than stay, nothing goes.
    FROM image_order o
    CROSS JOIN repository r ON r.id = o.repository_id
    CROSS JOIN tag t ON t.repository_id = o.repository_id
    LEFT JOIN tag_class c ON c.tag_id = t.id
    WHERE t.manifest_id IS NOT NULL AND r.name GLOB COALESCE(:repository, '*')
        AND NOT (SELECT by_scan FROM is_counted)
        AND o.image_count > COALESCE(:keep, 5)
    GROUP BY t.repository_id, t.manifest_id
),
-- Tagged platforms of tagged indexes.
part AS MATERIALIZED (
    SELECT DISTINCT i.repository_id, f.blob_id AS manifest_id, i.manifest_id AS index_id
    FROM candidate i
    CROSS JOIN manifest m ON m.blob_id = i.manifest_id
    CROSS JOIN reference f ON f.manifest_id = i.manifest_id
    WHERE m.kind = 'index' AND f.role = 'manifest' AND f.blob_id <> i.manifest_id
        AND EXISTS (SELECT 1 FROM tag x WHERE x.manifest_id = f.blob_id AND x.repository_id = i.repository_id)
),
valued AS (
    SELECT
        i.repository_id, i.manifest_id, i.version_key, i.name, i.is_kept,
        x.created_ns,
        CASE COALESCE(:order, 'version')
            WHEN 'version' THEN i.version_key
            WHEN 'created' THEN CASE WHEN i.has_equal_creations = 0 THEN x.created_ns END
            WHEN 'pushed' THEN CASE
                WHEN i.has_equal_pushes = 0 THEN i.pushed_ns
                WHEN i.has_equal_creations = 0 THEN x.created_ns
            END
            WHEN 'pulled' THEN CASE
                WHEN EXISTS (SELECT 1 FROM pull_coverage) OR EXISTS (SELECT 1 FROM root_pull)
                    THEN MAX(i.pushed_ns, COALESCE((
                        SELECT MAX(p.pulled_ns) FROM tag g JOIN tag_pull p ON p.tag_id = g.id
                        WHERE g.manifest_id = i.manifest_id AND g.repository_id = i.repository_id
                    ), 0))
            END
        END AS value,
        CASE
            WHEN COALESCE(:order, 'version') = 'pushed' AND i.has_equal_pushes THEN 'created'
            ELSE COALESCE(:order, 'version')
        END AS ranked_by
    FROM candidate i
    LEFT JOIN image x ON x.repository_id = i.repository_id AND x.manifest_id = i.manifest_id
    WHERE i.name IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM part p WHERE p.repository_id = i.repository_id AND p.manifest_id = i.manifest_id)
),
ranked AS (
    SELECT
        repository_id, manifest_id, is_kept, ranked_by,
        ROW_NUMBER() OVER (
            PARTITION BY repository_id
            ORDER BY value DESC, created_ns DESC, version_key DESC, name DESC, manifest_id
        ) - 1 AS newer_image_count
    FROM valued
    WHERE value IS NOT NULL
),
going AS MATERIALIZED (
    SELECT repository_id, manifest_id, newer_image_count, ranked_by
    FROM ranked
    WHERE newer_image_count >= COALESCE(:keep, 5) AND is_kept = 0
),
gone AS (
    SELECT * FROM going
    UNION ALL
    -- A platform goes with the last index that names it.
    SELECT p.repository_id, p.manifest_id, MIN(g.newer_image_count), MIN(g.ranked_by)
    FROM part p
    JOIN candidate i ON i.repository_id = p.repository_id AND i.manifest_id = p.manifest_id
    LEFT JOIN going g ON g.repository_id = p.repository_id AND g.manifest_id = p.index_id
    WHERE i.is_kept = 0
    GROUP BY p.repository_id, p.manifest_id
    HAVING COUNT(g.manifest_id) = COUNT(*)
)
SELECT
    r.name AS repository,
    t.name AS tag,
    i.newer_version_count AS newer_image_count,
    COALESCE(i.exclusive_bytes, t.exclusive_bytes) AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    'version' AS ranked_by,
    CASE
        WHEN i.hash IS NOT NULL THEN 'sha256:' || lower(hex(i.hash))
        ELSE (SELECT b.other_digest FROM blob b WHERE b.id = i.manifest_id)
    END AS manifest_digest
FROM repository r
CROSS JOIN image i ON i.repository_id = r.id
CROSS JOIN tag t ON t.manifest_id = i.manifest_id AND t.repository_id = i.repository_id
WHERE (SELECT by_scan FROM is_counted)
    AND r.name GLOB COALESCE(:repository, '*')
    AND i.newer_version_count >= COALESCE(:keep, 5)
UNION ALL
SELECT
    r.name AS repository,
    t.name AS tag,
    k.newer_image_count AS newer_image_count,
    COALESCE(i.exclusive_bytes, t.exclusive_bytes) AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    k.ranked_by AS ranked_by,
    CASE
        WHEN i.hash IS NOT NULL THEN 'sha256:' || lower(hex(i.hash))
        ELSE (SELECT b.other_digest FROM blob b WHERE b.id = k.manifest_id)
    END AS manifest_digest
FROM gone k
CROSS JOIN tag t ON t.manifest_id = k.manifest_id AND t.repository_id = k.repository_id
JOIN repository r ON r.id = k.repository_id
LEFT JOIN image i ON i.repository_id = k.repository_id AND i.manifest_id = k.manifest_id
ORDER BY repository, newer_image_count, tag
LIMIT COALESCE(:limit, -1)
