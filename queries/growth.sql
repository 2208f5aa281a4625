-- title: What grew since an earlier scan
-- summary: The change of bytes, tags and revisions since an earlier scan, in all and by repository
-- param: days days = 0 -- compare with the newest scan at least this many days older, or the oldest there is; 0 is the scan before
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository; `(whole storage)` for all blobs on disk
-- column: grown_bytes bytes -- how much its logical bytes grew
-- column: logical_bytes bytes -- its logical bytes now
-- column: since_at time -- when the earlier scan was published
-- column: oldest_at time -- how far back it can look: the first scan of this storage into this database
-- column: before_bytes bytes -- its logical bytes at that time
-- column: grown_tag_count count -- tags more than at that time
-- column: grown_revision_count count -- revisions more than at that time
--
-- Repositories that did not change are left out. The history begins with the first scan into a
-- database: before a second one there is one line, with nothing to compare. Layers that repositories
-- share are in the figures of each, so only the first line is what the disk grew by.
WITH
pair AS (
    SELECT
        now.scan_number AS now_number,
        COALESCE(
            MAX(CASE WHEN then_.finished_ns <= now.finished_ns - COALESCE(:days, 0) * 86400000000000
                THEN then_.scan_number END),
            MIN(then_.scan_number)) AS then_number,
        COALESCE(MIN(then_.scan_number), now.scan_number) AS oldest_number
    FROM scan
    JOIN past_scan now ON now.scan_number = scan.scan_number
    LEFT JOIN past_scan then_ ON then_.scan_number < now.scan_number AND then_.root = now.root
    GROUP BY now.scan_number
),
after_ AS (
    SELECT h.* FROM pair p CROSS JOIN past_repository h
    WHERE p.now_number BETWEEN h.first_scan AND h.last_scan
),
before_ AS (
    SELECT h.* FROM pair p CROSS JOIN past_repository h
    WHERE p.then_number BETWEEN h.first_scan AND h.last_scan
),
change AS (
    SELECT 0 AS position, '(whole storage)' AS repository,
        b.blob_bytes AS old_bytes, a.blob_bytes AS new_bytes,
        a.tag_count - b.tag_count AS tags, a.revision_count - b.revision_count AS revisions
    FROM pair p
    JOIN past_scan a ON a.scan_number = p.now_number
    LEFT JOIN past_scan b ON b.scan_number = p.then_number
    UNION ALL
    SELECT 1, a.name, COALESCE(b.logical_bytes, 0), a.logical_bytes,
        a.tag_count - COALESCE(b.tag_count, 0), a.revision_count - COALESCE(b.revision_count, 0)
    FROM after_ a
    LEFT JOIN before_ b ON b.name = a.name
    WHERE (SELECT then_number FROM pair) IS NOT NULL
    UNION ALL
    SELECT 1, b.name, b.logical_bytes, 0, -b.tag_count, -b.revision_count
    FROM before_ b
    WHERE b.name NOT IN (SELECT name FROM after_)
)
SELECT
    c.repository AS repository,
    c.new_bytes - c.old_bytes AS grown_bytes,
    c.new_bytes AS logical_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', s.finished_ns / 1000000000, 'unixepoch') AS since_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', o.finished_ns / 1000000000, 'unixepoch') AS oldest_at,
    c.old_bytes AS before_bytes,
    c.tags AS grown_tag_count,
    c.revisions AS grown_revision_count
FROM change c
CROSS JOIN pair p
JOIN past_scan o ON o.scan_number = p.oldest_number
LEFT JOIN past_scan s ON s.scan_number = p.then_number
WHERE c.position = 0 OR c.new_bytes <> c.old_bytes OR c.tags <> 0 OR c.revisions <> 0
ORDER BY c.position, ABS(c.new_bytes - c.old_bytes) DESC, c.repository
LIMIT COALESCE(:limit, 20)
