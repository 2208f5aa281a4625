-- Drop what is neither deployed nor among the newest 3 of its repository. `deployed` is a JSON list of image
-- references or digests. Check the list first, since one of another registry matches nothing here, and a digest of a
-- single platform does not keep the tag of its index. `prune --protect` knows both and is the safer way.
--
--   regsql sql --file keep-deployed.sql -p deployed="$(cat deployed.json)" --what-if
--
-- An image counts as deployed when a reference ends with its repository and tag, or names its digest. An empty or
-- missing list is a mistake: nothing is selected then.
WITH deployed (reference) AS (
    SELECT value FROM json_each(:deployed) WHERE value <> ''
),
image AS (
    SELECT
        repository,
        manifest_digest,
        MAX(version_key) AS version_key,
        MAX(pushed_at) AS pushed_at,
        MAX(
            class = 'referrer'
            OR EXISTS (
                SELECT 1
                FROM deployed d
                WHERE d.reference = tags.repository || ':' || tags.tag
                    OR substr(d.reference, -length('/' || tags.repository || ':' || tags.tag))
                        = '/' || tags.repository || ':' || tags.tag
                    OR instr(d.reference, tags.manifest_digest) > 0
            )
        ) AS is_kept
    FROM tags
    WHERE manifest_digest IS NOT NULL
    GROUP BY repository, manifest_digest
),
ranked AS (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY repository ORDER BY version_key IS NULL, version_key DESC, pushed_at DESC, manifest_digest
        ) AS place
    FROM image
)
SELECT t.repository, t.tag, t.manifest_digest
FROM ranked
JOIN tags t USING (repository, manifest_digest)
WHERE place > 3 AND NOT is_kept AND EXISTS (SELECT 1 FROM deployed)
