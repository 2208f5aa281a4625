-- title: What is garbage, by class
-- summary: Each class of garbage: how much there is, what deleting it frees, and the command that does
-- column: class text -- the class
-- column: count count -- how many there are
-- column: freed_bytes bytes -- what deleting the whole class frees
-- column: command text -- shows the plan; with `--delete` it acts
-- column: report text -- the report that names each one
-- bar: freed_bytes
--
-- Where something outside of the storage seems to hold references, the first row says so, and the
-- classes that only that can judge have no command but the one that says why.
--
-- `regsql prune --garbage` takes all of these but the untagged revisions, which
-- can still be pulled by digest and so go only when they are asked for. The classes overlap: a blob
-- that only an untagged revision reaches becomes an orphan when that goes, so *both of these
-- together* may be more than the sum. Uploads count when nothing happened in them for 7 days.
WITH hidden AS (
    SELECT COALESCE(MAX(hides_tags), 0) AS tags, COALESCE(MAX(hides_manifests), 0) AS manifests FROM authority
),
stale AS (
    SELECT COUNT(*) AS count, COALESCE(SUM(size_bytes), 0) AS bytes
    FROM upload
    WHERE active_ns <= (SELECT finished_ns FROM scan) - 7 * 86400000000000
),
line (position, class, count_name, bytes_name, command, report) AS (
    VALUES
        (1, 'orphan blobs', 'orphan_blob_count', 'orphan_bytes', 'regsql prune orphan-blobs', 'orphan-blobs'),
        (2, 'untagged revisions', 'untagged_revision_count', 'untagged_bytes', 'regsql prune untagged-revisions', 'untagged-revisions'),
        (3, 'both of these together', NULL, 'untagged_and_orphan_bytes', 'regsql prune untagged-revisions orphan-blobs', NULL),
        (5, 'dangling layer links', 'dangling_link_count', NULL, 'regsql prune dangling-links', 'dangling-links'),
        (6, 'unneeded layer links', 'unneeded_link_count', NULL, 'regsql prune unneeded-links', 'unneeded-links'),
        (7, 'ghost repositories', 'ghost_repository_count', NULL, 'regsql prune ghost-repositories --whole-repositories', 'ghost-repositories')
)
SELECT class, count, freed_bytes, command, report
FROM (
    SELECT
        line.position AS position,
        line.class AS class,
        CASE WHEN line.count_name IS NOT NULL THEN COALESCE(c.value, 0) END AS count,
        COALESCE(b.value, 0) AS freed_bytes,
        CASE WHEN line.position IN (2, 3) AND hidden.tags OR line.position <> 2 AND hidden.manifests
            THEN 'regsql report authority' ELSE line.command END AS command,
        line.report AS report
    FROM line
    CROSS JOIN hidden
    LEFT JOIN total c ON c.name = line.count_name
    LEFT JOIN total b ON b.name = line.bytes_name
    UNION ALL
    SELECT 0, 'references held elsewhere: nothing is known to be garbage', (SELECT COUNT(*) FROM evidence), NULL,
        'regsql scan STORAGE --roots FILE', 'authority'
    FROM hidden
    WHERE hidden.tags
    UNION ALL
    SELECT 4, 'stale uploads', stale.count, stale.bytes, 'regsql prune stale-uploads', 'stale-uploads' FROM stale
)
ORDER BY position
