-- Drop what was not pulled for 90 days, but keep the newest 3 images of each repository. Nothing is selected unless
-- pulls are known for all of that time (scan_info.pulls_since).
WITH watch AS (
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-90 days') AS until_at
    FROM scan_info
    WHERE pulls_since <= strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-90 days')
        AND pulls_until >= strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-1 day')
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
