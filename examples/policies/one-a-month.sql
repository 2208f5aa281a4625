-- Keep the newest image of each month, and everything of the last 60 days. Images with a tag that is no version,
-- such as `latest`, stay, and so do those whose time is not known.
WITH image AS (
    SELECT repository, manifest_digest, MAX(pushed_at) AS pushed_at, MAX(class IN ('name', 'referrer')) AS is_kept
    FROM tags
    WHERE manifest_digest IS NOT NULL
    GROUP BY repository, manifest_digest
),
ranked AS (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY repository, substr(pushed_at, 1, 7) ORDER BY pushed_at DESC, manifest_digest
        ) AS place
    FROM image
    WHERE pushed_at IS NOT NULL
)
SELECT t.repository, t.tag, t.manifest_digest
FROM ranked
JOIN tags t USING (repository, manifest_digest)
WHERE place > 1
    AND NOT is_kept
    AND ranked.pushed_at < (SELECT strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-60 days') FROM scan_info)
ORDER BY t.repository, t.tag
