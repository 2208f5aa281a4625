-- Drop images of pull requests after 14 days. An image that also has another tag, such as `main`, stays.
SELECT repository, tag, manifest_digest
FROM tags
WHERE manifest_digest IN (
    SELECT i.manifest_digest
    FROM tags i
    WHERE i.repository = tags.repository AND i.manifest_digest IS NOT NULL
    GROUP BY i.manifest_digest
    HAVING MIN(i.tag GLOB 'pr-*' OR i.class = 'commit') = 1
        AND MAX(i.tag GLOB 'pr-*') = 1
        AND COUNT(i.pushed_at) = COUNT(*)
        AND MAX(i.pushed_at) < (SELECT strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, '-14 days') FROM scan_info)
)
ORDER BY repository, tag
