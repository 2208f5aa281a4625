-- title: What this registry holds, and what would come free
-- summary: The storage at a glance, on one screen: contents, waste by class, the largest repositories
-- group: section
-- column: section text -- what the figure belongs to
-- column: figure text -- what is counted
-- column: count count -- how many; for repositories their tags
-- column: bytes bytes -- their bytes; under `comes free` what deleting the class frees, for repositories the exclusive bytes
-- column: report text -- the report that says more
-- bar: bytes
-- next-from: next-steps
--
-- Under *comes free* stands what goes without dropping a tag. *Now* is what was written and linked
-- at least 24 hours before the scan (uploads: idle for 7 days); the rest goes when it is as old. A change
-- of owner or a restore counts as a write. Problems are errors and warnings; notes are only in the
-- report. The bytes of a repository are its exclusive ones: what deleting it would free. The
-- largest fill what is left of a screen of 24 lines; the view `totals` has every figure.
-- *Other files* are what this storage holds beside blobs, directories included: `regsql report disk` says which.
-- In a bucket, *noncurrent versions* are what it keeps of what was overwritten or deleted, and *multipart uploads*
-- those that did not end: no other figure has their bytes.
-- Where something outside of the storage seems to hold references, the first line says so, and what
-- only that can judge stands under *cannot be judged* (`regsql report authority`).
WITH line (position, section, figure, count_name, more_count_name, bytes_name, report) AS (
    VALUES
        (1, 'storage', 'blobs', 'blob_count', NULL, 'blob_bytes', 'largest-layers'),
        (11, 'contents', 'repositories', 'repository_count', NULL, NULL, 'repositories'),
        (12, 'contents', 'tags', 'tag_count', NULL, NULL, 'tags'),
        (28, 'comes free', 'trash of deletions', 'trash_run_count', NULL, 'trash_bytes', NULL),
        (31, 'look at', 'broken tags', 'broken_tag_count', NULL, NULL, 'broken-images')
),
waste (class, count, bytes, now_bytes) AS MATERIALIZED (
    SELECT class, item_count, size_bytes, now_bytes FROM reclaimable
),
whole (bytes, now_bytes) AS (
    SELECT CAST(SUM(bytes * 1.0) AS INTEGER), CAST(SUM(now_bytes * 1.0) AS INTEGER) FROM waste
),
hidden (tags, manifests) AS (
    SELECT COALESCE(MAX(hides_tags), 0), COALESCE(MAX(hides_manifests), 0) FROM authority
),
figures AS (
    SELECT
        line.position AS position,
        line.section AS section,
        line.figure AS figure,
        c.value + COALESCE(m.value, 0) AS count,
        b.value AS bytes,
        line.report AS report
    FROM line
    LEFT JOIN total c ON c.name = line.count_name
    LEFT JOIN total m ON m.name = line.more_count_name
    LEFT JOIN total b ON b.name = line.bytes_name
    UNION ALL
    SELECT
        CASE class WHEN 'orphan blobs' THEN 21 WHEN 'stale uploads' THEN 22 ELSE 23 END,
        CASE WHEN class = 'untagged revisions' AND hidden.tags OR class = 'orphan blobs' AND hidden.manifests
            THEN 'cannot be judged' ELSE 'comes free' END,
        class, count, bytes, replace(class, ' ', '-')
    FROM waste
    CROSS JOIN hidden
    UNION ALL
    SELECT 24, CASE WHEN hidden.tags THEN 'cannot be judged' ELSE 'comes free' END, 'all of these', NULL, bytes, 'garbage'
    FROM whole
    CROSS JOIN hidden
    UNION ALL
    SELECT 25, 'comes free', '- now', NULL, now_bytes, NULL
    FROM whole
    CROSS JOIN hidden
    WHERE now_bytes < bytes AND NOT hidden.tags
    UNION ALL
    SELECT 26, 'comes free', '- when 24 h old', NULL, bytes - now_bytes, NULL
    FROM whole
    CROSS JOIN hidden
    WHERE now_bytes < bytes AND NOT hidden.tags
    UNION ALL
    SELECT 27, CASE WHEN (SELECT manifests FROM hidden) THEN 'cannot be judged' ELSE 'comes free' END, 'leftovers',
        SUM(value), NULL, 'garbage'
    FROM total WHERE name IN ('dangling_link_count', 'unneeded_link_count', 'ghost_repository_count')
    UNION ALL
    SELECT 2, 'storage', 'other files', SUM(item_count), CAST(SUM(disk_bytes * 1.0) AS INTEGER), 'disk' FROM used_space WHERE what <> 'blobs'
    UNION ALL
    -- As `df` reckons it, rounded up.
    SELECT 3, 'storage',
        'disk, ' || CAST(disk_used_bytes * 100.0 / (disk_used_bytes + disk_free_bytes) + 0.999 AS INTEGER) || ' % full',
        NULL, NULL, 'disk'
    FROM storage WHERE disk_used_bytes > 0
    UNION ALL
    SELECT 32, 'look at', 'problems', COUNT(*), NULL, 'problems' FROM problem WHERE severity <> 'info'
    UNION ALL
    SELECT 33, 'look at', 'noncurrent versions', noncurrent_version_count, noncurrent_version_bytes, NULL FROM storage
    UNION ALL
    SELECT 34, 'look at', 'multipart uploads', multipart_upload_count, multipart_upload_bytes, NULL FROM storage
),
largest AS (
    SELECT
        40 + ROW_NUMBER() OVER (ORDER BY exclusive_bytes DESC, name) AS position,
        'largest' AS section,
        name AS figure,
        tag_count AS count,
        exclusive_bytes AS bytes,
        'tags' AS report
    FROM (SELECT name, tag_count, exclusive_bytes FROM repository ORDER BY exclusive_bytes DESC, name LIMIT 5)
)
SELECT section, figure, count, bytes, report
FROM (
    SELECT * FROM (
        SELECT 0 AS position, 'first' AS section, 'references held elsewhere: ' || suspected AS figure,
            (SELECT COUNT(*) FROM evidence) AS count, NULL AS bytes, 'authority' AS report
        FROM authority
        WHERE hides_tags = 1
        UNION ALL
        SELECT 0, 'look at', what || ': ' || advice, place_count, NULL, 'problems' FROM unreadable_place
        UNION ALL
        SELECT * FROM figures
        -- A class of which there is nothing needs no line on a screen that is short.
        WHERE position IN (1, 3, 11, 12, 21, 23, 25) OR count > 0 OR (count IS NULL AND bytes > 0)
        UNION ALL
        SELECT * FROM largest
    )
    -- With the heading, the footer and three commands these rows fit 24 lines. What takes the room that others
    -- leave comes last here.
    ORDER BY CASE WHEN position = 2 THEN 40 ELSE position END, position
    LIMIT 13
)
ORDER BY position
