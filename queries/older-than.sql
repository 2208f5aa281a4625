-- title: Tags of images that were not pushed for a long time
-- summary: Tags of images all of whose tags were last set at least this many days before the scan, oldest first
-- param: days days = 90 -- the age
-- param: keep integer 0.. = 0 -- the newest images of each repository that stay whatever their age
-- param: match glob = * -- only tags that match; an image with another tag stays
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: pushed_at time -- when it was last set
-- column: exclusive_bytes bytes -- freed by deleting this image with all its tags
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: manifest_digest digest -- the image
-- bar: exclusive_bytes
-- selects: tags
-- next: regsql report older-than --what-if -- what dropping all of these frees together
--
-- An image is as old as the newest of its tags, so a tag is only named when its image goes. The age
-- counts back from the scan. Signatures and other tags `sha256-…` are not counted, and go with the
-- image that they name. After a copy every tag has the time of the copy, and nothing is old.
--
-- A registry does not remember pulls: an old image may be in use every day. `regsql pulls import` reads
-- them from its log, and `not-pulled` names what was not pulled for long.
SELECT
    r.name AS repository,
    t.name AS tag,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    COALESCE(i.exclusive_bytes, t.exclusive_bytes) AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    CASE
        WHEN i.hash IS NOT NULL THEN 'sha256:' || lower(hex(i.hash))
        ELSE (SELECT b.other_digest FROM blob b WHERE b.id = i.manifest_id)
    END AS manifest_digest
FROM image i
CROSS JOIN tag t ON t.manifest_id = i.manifest_id AND t.repository_id = i.repository_id
JOIN repository r ON r.id = i.repository_id
WHERE i.is_kept = 0
    AND r.name GLOB COALESCE(:repository, '*')
    AND (COALESCE(:match, '*') = '*' OR NOT EXISTS (
        SELECT 1 FROM tag o
        WHERE o.manifest_id = i.manifest_id AND o.repository_id = i.repository_id AND o.name NOT GLOB :match))
    AND i.newer_image_count >= COALESCE(:keep, 0)
    AND i.newest_tag_ns <= (SELECT finished_ns FROM scan) - COALESCE(:days, 90) * 86400000000000
ORDER BY i.newest_tag_ns, i.repository_id, i.manifest_id, t.id
LIMIT COALESCE(:limit, -1)
