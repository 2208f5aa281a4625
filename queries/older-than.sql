-- title: Tags that were not set for a long time
-- summary: Tags last set at least so many days before the scan, oldest first
-- param: days days = 90 -- the age
-- param: match glob = * -- only tags that match
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: pushed_at time -- when it was last set
-- column: exclusive_bytes bytes -- freed by deleting this tag alone
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: manifest_digest digest -- what it points at
-- bar: exclusive_bytes
-- selects: tags
-- next: regsql report older-than --what-if -- what dropping all of these frees together
--
-- The age counts back from the scan. A registry does not remember pulls: an old tag may be in use
-- every day. Combine it with `keep-latest` to keep the newest few whatever their age:
--
-- ```sql
-- SELECT repository, tag FROM tags t
-- WHERE version_key IS NOT NULL AND tag NOT GLOB '*-lts'
--     AND pushed_at < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-90 days')
--     AND (SELECT COUNT(*) FROM tags n WHERE n.repository = t.repository AND n.version_key > t.version_key) >= 5
-- ```
SELECT
    r.name AS repository,
    t.name AS tag,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    t.exclusive_bytes AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest
FROM tag t
JOIN repository r ON r.id = t.repository_id
LEFT JOIN blob b ON b.id = t.manifest_id
WHERE t.pushed_ns <= (SELECT finished_ns FROM scan) - COALESCE(:days, 90) * 86400000000000
    AND t.manifest_id IS NOT NULL
    AND t.name GLOB COALESCE(:match, '*')
    AND r.name GLOB COALESCE(:repository, '*')
ORDER BY t.pushed_ns, r.name, t.name
LIMIT COALESCE(:limit, -1)
