-- Drop what is neither deployed nor among the newest 3 images of its repository. `deployed` is a JSON list of image
-- references or digests; what `scan --roots` read counts as deployed, too, and alone with `deployed=[]`.
--
--   regsql sql --file keep-deployed.sql -p deployed="$(cat deployed.json)" --what-if
--
-- A reference names an image by its tag, with or without a host and a path before the repository, by its digest, or by
-- the digest of one of its platforms or of its config. Without a tag and a digest it means `latest`. A list of which
-- nothing is in this registry is another registry's: nothing is selected then, and nothing where nothing is deployed.
-- Images with a tag that is no version, such as `latest`, stay.
WITH RECURSIVE listed (reference) AS (
    SELECT trim(value) FROM json_each(:deployed) WHERE trim(value) <> ''
),
-- By digest, and whatever leads there: an index by its platforms, an image by its config.
digest (digest) AS (
    SELECT CASE
        WHEN instr(reference, 'sha256:') > 0 THEN lower(substr(reference, instr(reference, 'sha256:'), 71))
        ELSE substr(reference, instr(reference, '@') + 1)
    END
    FROM listed
    WHERE instr(reference, 'sha256:') > 0 OR instr(reference, '@') > 0
    UNION
    SELECT r.manifest_digest
    FROM digest d
    JOIN manifest_references r ON r.digest = d.digest
    WHERE r.role IN ('manifest', 'config')
),
-- By name: what follows each slash may be the repository.
named (name) AS (
    SELECT CASE WHEN has_digest OR instr(last, ':') > 0 THEN name ELSE name || ':latest' END
    FROM (
        SELECT name, has_digest, substr(name, length(rtrim(name, replace(name, '/', ''))) + 1) AS last
        FROM (
            SELECT
                instr(reference, '@') > 0 AS has_digest,
                CASE WHEN instr(reference, '@') > 0 THEN substr(reference, 1, instr(reference, '@') - 1)
                    ELSE reference END AS name
            FROM listed
        )
    )
    UNION
    SELECT substr(name, instr(name, '/') + 1) FROM named WHERE instr(name, '/') > 0
),
name (name) AS (
    SELECT name FROM named
    UNION
    -- Docker Hub's own images have no namespace in front.
    SELECT 'library/' || name FROM named WHERE instr(name, '/') = 0
),
deployed (repository, manifest_digest, is_listed) AS MATERIALIZED (
    SELECT repository, manifest_digest, 1 FROM tags WHERE manifest_digest IN (SELECT digest FROM digest)
    UNION
    SELECT repository, manifest_digest, 1 FROM tags WHERE repository || ':' || tag IN (SELECT name FROM name)
    UNION
    SELECT repository, manifest_digest, 0 FROM tags WHERE is_known
    UNION
    SELECT t.repository, t.manifest_digest, 0
    FROM revisions v
    JOIN tags t ON t.repository = v.repository AND t.manifest_digest = v.manifest_digest
    WHERE v.is_root
),
image AS (
    SELECT
        repository,
        manifest_digest,
        MAX(version_key) AS version_key,
        MAX(pushed_at) AS pushed_at,
        MAX(class IN ('name', 'referrer')) AS is_kept
    FROM tags
    WHERE manifest_digest IS NOT NULL
    GROUP BY repository, manifest_digest
),
ranked AS (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY repository
            ORDER BY version_key IS NULL, version_key DESC, pushed_at DESC, manifest_digest
        ) AS place
    FROM image
)
SELECT t.repository, t.tag, t.manifest_digest
FROM ranked
JOIN tags t USING (repository, manifest_digest)
WHERE place > 3
    AND NOT is_kept
    AND (repository, manifest_digest) NOT IN (SELECT repository, manifest_digest FROM deployed)
    AND EXISTS (SELECT 1 FROM deployed WHERE is_listed OR NOT EXISTS (SELECT 1 FROM listed))
ORDER BY t.repository, t.tag
