-- title: Images that were not pulled for a long time
-- summary: Tags of images that were not pulled for this many days, where pulls are known for so long
-- param: days days = 90 -- the time without a pull
-- param: keep integer 0.. = 0 -- the newest images of each repository that stay all the same
-- param: match glob = * -- only tags that match; an image with another tag stays
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: last_pulled_at time -- when the image was last pulled; nothing: not since `watched_since_at`
-- column: watched_since_at time -- since when pulls are known without a gap; nothing: `scan --roots` read when it was pulled
-- column: exclusive_bytes bytes -- freed by deleting this image with all its tags
-- column: pushed_at time -- when the tag was last set
-- column: manifest_digest digest -- the image
-- bar: exclusive_bytes
-- selects: tags
-- next: regsql report not-pulled --what-if -- what dropping all of these frees together
-- notices-from: pull-watch
--
-- Pulls come from `regsql pulls import` and `regsql serve --events`, and from exports of `scan --roots` that have the
-- column `pulled_at`, as Harbor's has. An image is named when none of its tags, its digest or a platform of it was
-- pulled for `days`, and it was pushed before. Logs must cover all of that time, up to a day before the scan, or an
-- export not older than that must name the image: what is not watched may be in use. A client that has an image
-- already only asks whether its tag has moved (HEAD); `pulls import --with-head` counts that as a pull.
WITH watch AS (
    SELECT
        s.finished_ns - COALESCE(:days, 90) * 86400000000000 AS until_ns,
        s.finished_ns - 86400000000000 AS day_before_ns,
        (
            SELECT w.from_ns FROM pull_watch w
            WHERE w.from_ns <= s.finished_ns - COALESCE(:days, 90) * 86400000000000
                AND w.to_ns >= s.finished_ns - 86400000000000
        ) AS from_ns
    FROM scan s
)
SELECT
    r.name AS repository,
    t.name AS tag,
    strftime('%Y-%m-%dT%H:%M:%SZ', (
        SELECT MAX(p.pulled_ns) FROM tag o JOIN tag_pull p ON p.tag_id = o.id
        WHERE o.manifest_id = i.manifest_id AND o.repository_id = i.repository_id
    ) / 1000000000, 'unixepoch') AS last_pulled_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', w.from_ns / 1000000000, 'unixepoch') AS watched_since_at,
    COALESCE(v.exclusive_bytes, t.exclusive_bytes) AS exclusive_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest
FROM watch w
CROSS JOIN image i
JOIN repository r ON r.id = i.repository_id
CROSS JOIN tag t ON t.manifest_id = i.manifest_id AND t.repository_id = i.repository_id
LEFT JOIN revision v ON v.repository_id = i.repository_id AND v.blob_id = i.manifest_id
LEFT JOIN blob b ON b.id = i.manifest_id
WHERE (w.from_ns IS NOT NULL OR EXISTS (SELECT 1 FROM root_source e WHERE e.has_pulls))
    AND i.is_kept = 0
    AND r.name GLOB COALESCE(:repository, '*')
    AND (COALESCE(:match, '*') = '*' OR NOT EXISTS (
        SELECT 1 FROM tag o
        WHERE o.manifest_id = i.manifest_id AND o.repository_id = i.repository_id AND o.name NOT GLOB :match))
    AND i.newer_image_count >= COALESCE(:keep, 0)
    AND i.newest_tag_ns <= w.until_ns
    AND (w.from_ns IS NOT NULL OR EXISTS (
        SELECT 1 FROM root_pull p
        WHERE p.repository = r.name AND p.blob_id = i.manifest_id AND p.exported_ns >= w.day_before_ns))
    AND NOT EXISTS (
        SELECT 1 FROM tag o JOIN tag_pull p ON p.tag_id = o.id
        WHERE o.manifest_id = i.manifest_id AND o.repository_id = i.repository_id AND p.pulled_ns > w.until_ns)
    -- A platform of an index that is pulled, or may be, is in use.
    AND NOT EXISTS (
        SELECT 1 FROM referenced_by x
        JOIN tag o ON o.manifest_id = x.manifest_id AND o.repository_id = i.repository_id
        JOIN tag_pull q ON q.tag_id = o.id
        WHERE x.blob_id = i.manifest_id AND (q.pulled_ns > w.until_ns OR o.pushed_ns > w.until_ns))
ORDER BY r.name, i.newer_image_count, t.name
LIMIT COALESCE(:limit, -1)
