-- title: What to do next
-- summary: The commands that are most useful for this registry as it is now, the most useful first
-- param: limit limit = 3 -- rows to show
-- column: command text -- the command
-- column: meaning text -- what it does, and why now
-- column: freed_bytes bytes -- what it frees now, or is about in bytes, where that is known
-- column: later_bytes bytes -- what more it frees when that is 24 hours old
--
-- Faults come before space, because what cannot be read is kept; before both comes a holder of references
-- outside of the storage. Garbage of less than a thousandth
-- of the storage is left for later. The overview ends with the first three.
WITH
figure AS (
    SELECT
        COALESCE(MAX(CASE name WHEN 'blob_count' THEN value END), 0) AS blobs,
        COALESCE(MAX(CASE name WHEN 'blob_bytes' THEN value END), 0) AS blob_bytes,
        COALESCE(MAX(CASE name WHEN 'broken_tag_count' THEN value END), 0) AS broken_tags,
        COALESCE(MAX(CASE name WHEN 'error_count' THEN value END), 0) AS errors,
        COALESCE(MAX(CASE name WHEN 'trash_bytes' THEN value END), 0) AS trash_bytes,
        (SELECT size_bytes FROM reclaimable WHERE class = 'untagged revisions') AS untagged_bytes,
        (SELECT now_bytes FROM reclaimable WHERE class = 'untagged revisions') AS untagged_now_bytes,
        (SELECT CAST(SUM(size_bytes * 1.0) AS INTEGER) FROM reclaimable WHERE class <> 'untagged revisions') AS garbage_bytes,
        (SELECT CAST(SUM(now_bytes * 1.0) AS INTEGER) FROM reclaimable WHERE class <> 'untagged revisions') AS garbage_now_bytes,
        COALESCE(SUM(CASE WHEN name IN ('dangling_link_count', 'unneeded_link_count', 'ghost_repository_count')
            THEN value END), 0) AS leftovers
    FROM total
),
hidden AS (
    SELECT COALESCE(MAX(hides_tags), 0) AS tags, COALESCE(MAX(hides_manifests), 0) AS manifests,
        MAX(suspected) AS suspected
    FROM authority
),
step (position, command, meaning, freed_bytes, later_bytes) AS (
    SELECT 0, 'regsql report authority', 'references are held elsewhere, so garbage is not known: ' || suspected, NULL, NULL
    FROM hidden WHERE tags
    UNION ALL
    SELECT 1, 'regsql scan STORAGE', 'nothing is in here: is it the registry''s root?', NULL, NULL
    FROM figure WHERE blobs = 0 AND NOT EXISTS (SELECT 1 FROM unreadable_place)
    UNION ALL
    SELECT 2, 'regsql report broken-images', 'tags that cannot be pulled: ' || broken_tags, NULL, NULL
    FROM figure WHERE broken_tags > 0
    UNION ALL
    SELECT 3, 'regsql report problems', 'faults that may break images: ' || errors, NULL, NULL
    FROM figure WHERE broken_tags = 0 AND errors > 0
    UNION ALL
    SELECT CASE WHEN trash_bytes * 1000 > blob_bytes THEN 4 ELSE 9 END,
        'regsql trash purge', 'frees the trash of deletions, for good', trash_bytes, NULL
    FROM figure WHERE trash_bytes > 0
    UNION ALL
    SELECT CASE WHEN garbage_bytes * 1000 > blob_bytes THEN 4 ELSE 9 END,
        'regsql prune --garbage', 'nothing needs it',
        CASE WHEN garbage_bytes > 0 THEN garbage_now_bytes END,
        NULLIF(garbage_bytes - garbage_now_bytes, 0)
    FROM figure WHERE (garbage_bytes > 0 OR leftovers > 0) AND NOT (SELECT manifests FROM hidden)
    UNION ALL
    SELECT CASE WHEN untagged_bytes * 1000 > blob_bytes THEN 5 ELSE 10 END,
        'regsql report untagged-revisions', 'untagged', untagged_now_bytes,
        NULLIF(untagged_bytes - untagged_now_bytes, 0)
    FROM figure WHERE untagged_bytes > 0 AND NOT (SELECT tags FROM hidden)
    UNION ALL
    SELECT 6, 'regsql report keep-latest --what-if', 'if each repository kept 5 versions', NULL, NULL
    WHERE NOT (SELECT tags FROM hidden) AND EXISTS (
        SELECT 1 FROM tag WHERE version_key IS NOT NULL GROUP BY repository_id HAVING COUNT(*) > 5)
    UNION ALL
    SELECT 7, 'regsql report rare-layers', 'large layers that few images need', NULL, NULL
    FROM figure WHERE blobs > 0
    UNION ALL
    SELECT 8, 'regsql report stale-repositories', 'without a push for 180 days: ' || COUNT(*), NULL, NULL
    FROM repository
    WHERE last_pushed_ns <= (SELECT finished_ns FROM scan) - 180 * 86400000000000
    HAVING COUNT(*) > 0
    UNION ALL
    SELECT 11, 'regsql report --list', 'all reports', NULL, NULL
    UNION ALL
    SELECT 12, 'regsql schema', 'the views, for your own SQL', NULL, NULL
)
SELECT command, meaning, freed_bytes, later_bytes
FROM step
ORDER BY position
LIMIT COALESCE(:limit, 3)
