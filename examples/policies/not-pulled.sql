-- Drop what was not pulled for 90 days, but keep the newest 3 images of each repository. Nothing is selected unless pulls
-- are known for all of that time: from logs (scan_info.pulls_since), or from an export that `scan --roots` read at most a
-- day after it was written and that has the column `pulled_at`.
WITH watch AS (
    SELECT
        strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-90 days') AS until_at,
        COALESCE(
            pulls_since <= strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-90 days')
            AND pulls_until >= strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-1 day'), 0) AS has_logs,
        COALESCE(roots_at >= strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-1 day'), 0) AS has_new_roots
    FROM scan_info
),
exported AS MATERIALIZED (
    SELECT repository, digest
    FROM roots
    WHERE source IN (SELECT source FROM roots WHERE pulled_at IS NOT NULL) AND digest IS NOT NULL
),
image AS (
    SELECT
        repository,
        manifest_digest,
        MAX(pushed_at) AS pushed_at,
        MAX(last_pulled_at) AS last_pulled_at,
        MAX(class = 'referrer' OR pushed_at IS NULL) AS is_kept
    FROM tags
    WHERE manifest_digest IS NOT NULL
    GROUP BY repository, manifest_digest
),
ranked AS (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY repository ORDER BY pushed_at DESC, manifest_digest) AS place
    FROM image
)
SELECT t.repository, t.tag, t.manifest_digest
FROM watch
JOIN ranked
JOIN tags t USING (repository, manifest_digest)
WHERE place > 3
    AND NOT is_kept
    AND ranked.pushed_at < until_at
    AND (ranked.last_pulled_at IS NULL OR ranked.last_pulled_at < until_at)
    AND (has_logs OR has_new_roots AND (repository, manifest_digest) IN (SELECT repository, digest FROM exported))
ORDER BY t.repository, t.tag
