-- Keep the newest 2 images of each minor version; the newest line is 1.4, the one before 1.3, and so on.
-- Change the 2 in the last line. Images with a tag that is no version stay.
WITH image AS (
    SELECT
        repository,
        manifest_digest,
        -- The key of a floating tag holds `~~`.
        COALESCE(MAX(CASE WHEN instr(version_key, '~~') = 0 THEN version_key END), MAX(version_key)) AS version_key,
        MAX(class IN ('name', 'referrer')) AS is_kept
    FROM tags
    WHERE manifest_digest IS NOT NULL
    GROUP BY repository, manifest_digest
),
lined AS (
    -- The key holds the numbers of a version, with `~` between them: the first two are its line.
    SELECT
        *,
        substr(version_key, 1, instr(version_key, '~') + instr(substr(version_key, instr(version_key, '~') + 1), '~'))
            AS minor
    FROM image
    WHERE version_key IS NOT NULL
),
ranked AS (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY repository, minor ORDER BY version_key DESC, manifest_digest) AS place
    FROM lined
)
SELECT t.repository, t.tag, t.manifest_digest
FROM ranked
JOIN tags t USING (repository, manifest_digest)
WHERE place > 2 AND NOT is_kept
ORDER BY t.repository, t.tag
