-- title: What comes free without dropping a tag, by class
-- summary: Each class of what no tag needs: how much there is, what deleting it frees, now and later, and the command
-- column: class text -- the class
-- column: count count -- how many there are
-- column: freed_bytes bytes -- what deleting the whole class frees
-- column: now_bytes bytes -- of those, what is old enough to go now: written and linked at least 24 hours before the scan, uploads idle for 7 days
-- column: command text -- shows the plan; with `--delete` it acts
-- column: report text -- the report that names each one
-- bar: freed_bytes
--
-- Where something outside of the storage seems to hold references, the first row says so, and the
-- classes that only that can judge have no command but the one that says why.
--
-- `regsql prune --garbage` takes all of these but the untagged revisions, which can still be pulled
-- by digest and so go only when they are asked for. Nothing is in two classes: the last line is the
-- sum. The rest of it goes when it is 24 hours old; a change of owner or a restore counts as a write.
WITH hidden AS (
    SELECT COALESCE(MAX(hides_tags), 0) AS tags, COALESCE(MAX(hides_manifests), 0) AS manifests FROM authority
),
waste (class, count, bytes, now_bytes) AS MATERIALIZED (
    SELECT class, item_count, size_bytes, now_bytes FROM reclaimable
),
line (position, class, name, command, report) AS (
    VALUES
        (4, 'dangling layer links', 'dangling_link_count', 'regsql prune dangling-links', 'dangling-links'),
        (5, 'unneeded layer links', 'unneeded_link_count', 'regsql prune unneeded-links', 'unneeded-links'),
        (6, 'ghost repositories', 'ghost_repository_count', 'regsql prune ghost-repositories --whole-repositories', 'ghost-repositories')
)
SELECT class, count, freed_bytes, now_bytes, command, report
FROM (
    SELECT
        CASE class WHEN 'orphan blobs' THEN 1 WHEN 'stale uploads' THEN 2 ELSE 3 END AS position,
        class,
        count,
        bytes AS freed_bytes,
        now_bytes,
        CASE WHEN class = 'untagged revisions' AND hidden.tags OR class = 'orphan blobs' AND hidden.manifests
            THEN 'regsql report authority' ELSE 'regsql prune ' || replace(class, ' ', '-') END AS command,
        replace(class, ' ', '-') AS report
    FROM waste
    CROSS JOIN hidden
    UNION ALL
    SELECT line.position, line.class, COALESCE(c.value, 0), 0, 0,
        CASE WHEN hidden.manifests THEN 'regsql report authority' ELSE line.command END, line.report
    FROM line
    CROSS JOIN hidden
    LEFT JOIN total c ON c.name = line.name
    UNION ALL
    SELECT 0, 'references held elsewhere: nothing is known to be garbage', (SELECT COUNT(*) FROM evidence), NULL, NULL,
        'regsql scan STORAGE --roots FILE', 'authority'
    FROM hidden
    WHERE hidden.tags
    UNION ALL
    SELECT 7, 'all of these', NULL, CAST(SUM(bytes * 1.0) AS INTEGER), CAST(SUM(now_bytes * 1.0) AS INTEGER),
        CASE WHEN (SELECT tags FROM hidden) THEN 'regsql report authority'
            ELSE 'regsql prune untagged-revisions --garbage' END, NULL
    FROM waste
)
ORDER BY position
