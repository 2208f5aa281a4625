-- title: What this registry holds, and what would come free
-- summary: The storage at a glance, on one screen: contents, waste by class, the largest repositories
-- group: section
-- column: section text -- what the figure belongs to
-- column: figure text -- what is counted
-- column: count count -- how many; for repositories their tags
-- column: bytes bytes -- their bytes; for waste what deleting the whole class frees, for repositories the exclusive bytes
-- column: report text -- the report that tells more
-- bar: bytes
-- next-from: next-steps
--
-- The figures under *comes free* overlap: an untagged revision may keep a blob that would be an
-- orphan without it, so the line *these two together* is what deleting both classes
-- frees, and may be more than their sum. Unfinished uploads count whatever their age; the report
-- `garbage` knows which are old. The bytes of a repository are its exclusive ones: what
-- deleting it would free. The largest fill what is left of a screen of 24 lines; the view `totals`
-- has every figure. Where something outside of the storage seems to hold references, the first line says so,
-- and what only that can judge stands under *cannot be judged* (`regsql report authority`).
WITH line (position, section, figure, count_name, more_count_name, bytes_name, report) AS (
    VALUES
        (0, 'look at', 'directories unreadable: scan as root or the registry''s user', 'unreadable_directory_count', NULL, NULL, 'problems'),
        (1, 'storage', 'blobs', 'blob_count', NULL, 'blob_bytes', 'largest-layers'),
        (11, 'contents', 'repositories', 'repository_count', NULL, NULL, 'repositories'),
        (12, 'contents', 'tags', 'tag_count', NULL, NULL, 'tags'),
        (21, 'comes free', 'untagged revisions', 'untagged_revision_count', NULL, 'untagged_bytes', 'untagged-revisions'),
        (22, 'comes free', 'orphan blobs', 'orphan_blob_count', NULL, 'orphan_bytes', 'orphan-blobs'),
        (23, 'comes free', 'these two together', NULL, NULL, 'untagged_and_orphan_bytes', 'garbage'),
        (24, 'comes free', 'unfinished uploads', 'upload_count', NULL, 'upload_bytes', 'stale-uploads'),
        (25, 'comes free', 'leftover layer links', 'dangling_link_count', 'unneeded_link_count', NULL, 'garbage'),
        (26, 'comes free', 'ghost repositories', 'ghost_repository_count', NULL, NULL, 'ghost-repositories'),
        (27, 'comes free', 'trash of deletions', 'trash_run_count', NULL, 'trash_bytes', NULL),
        (31, 'look at', 'broken tags', 'broken_tag_count', NULL, NULL, 'broken-images'),
        (32, 'look at', 'problems', 'problem_count', NULL, NULL, 'problems')
),
figures AS (
    SELECT
        line.position AS position,
        CASE WHEN line.position IN (21, 23) AND hides_tags OR line.position IN (22, 25, 26) AND hides_manifests
            THEN 'cannot be judged' ELSE line.section END AS section,
        line.figure AS figure,
        c.value + COALESCE(m.value, 0) AS count,
        b.value AS bytes,
        line.report AS report
    FROM line
    CROSS JOIN (SELECT COALESCE(MAX(hides_tags), 0) AS hides_tags, COALESCE(MAX(hides_manifests), 0) AS hides_manifests
        FROM authority)
    LEFT JOIN total c ON c.name = line.count_name
    LEFT JOIN total m ON m.name = line.more_count_name
    LEFT JOIN total b ON b.name = line.bytes_name
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
    SELECT 0 AS position, 'first' AS section, 'references held elsewhere: ' || suspected AS figure,
        (SELECT COUNT(*) FROM evidence) AS count, NULL AS bytes, 'authority' AS report
    FROM authority
    WHERE hides_tags = 1
    UNION ALL
    SELECT * FROM figures
    -- A class of which there is nothing needs no line on a screen that is short.
    WHERE position IN (1, 11, 12, 21, 22) OR count > 0 OR (count IS NULL AND bytes > 0)
    UNION ALL
    SELECT * FROM largest
)
ORDER BY position
-- With the heading, the footer, three commands and a long name so many rows fit 24 lines.
LIMIT 12
