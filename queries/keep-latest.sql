-- title: Tags beyond the newest few of each repository
-- summary: All tags but the newest N of each repository: what a keep-the-latest policy removes
-- param: keep integer 0.. = 5 -- tags of each repository that stay
-- param: order version|pushed = version -- what makes a tag newer: its version, or when it was set
-- param: match glob = * -- only tags that match take part; the others stay and are not counted
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag to remove
-- column: newer_tag_count count -- newer tags in its repository that took part
-- column: exclusive_bytes bytes -- freed by deleting this tag alone
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: pushed_at time -- when it was last set
-- column: manifest_digest digest -- what it points at
-- bar: exclusive_bytes
-- selects: tags
-- next: regsql report keep-latest --what-if -- what dropping all of these frees together
--
-- With `order=version` only tags that are versions take part: `1.10.0` is newer than `1.9.0`, a
-- pre-release is older than its release, and `latest`, `main` or a commit hash are never selected.
-- With `order=pushed` every tag takes part whose time is known, `latest` too: use `match` to say
-- which. A tag whose link cannot be read is never selected.
--
-- A removed tag whose manifest a kept tag also points at frees nothing. There is no total: tags share
-- layers, so the whole set frees more than the sum of what each tag frees alone. `--what-if` tells
-- what it frees, and `regsql free 10GiB` which of these tags are enough.
WITH ranked AS (
    SELECT
        t.id,
        r.name AS repository,
        ROW_NUMBER() OVER (
            PARTITION BY t.repository_id
            ORDER BY
                CASE COALESCE(:order, 'version') WHEN 'version' THEN t.version_key ELSE t.pushed_ns END DESC,
                t.name DESC
        ) - 1 AS newer_tag_count
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    WHERE t.manifest_id IS NOT NULL
        AND CASE COALESCE(:order, 'version') WHEN 'version' THEN t.version_key ELSE t.pushed_ns END IS NOT NULL
        AND t.name GLOB COALESCE(:match, '*')
        AND r.name GLOB COALESCE(:repository, '*')
)
SELECT
    k.repository AS repository,
    t.name AS tag,
    k.newer_tag_count AS newer_tag_count,
    t.exclusive_bytes AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest
FROM ranked k
CROSS JOIN tag t ON t.id = k.id
LEFT JOIN blob b ON b.id = t.manifest_id
WHERE k.newer_tag_count >= COALESCE(:keep, 5)
ORDER BY k.repository, k.newer_tag_count, t.name
LIMIT COALESCE(:limit, -1)
