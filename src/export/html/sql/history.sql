-- Past scans of this storage, oldest first; of a long history every so-manieth scan, and always the newest.
SELECT finished_at, blob_bytes, orphan_bytes, untagged_bytes, repository_count, tag_count
FROM (
    SELECT *,
        ROW_NUMBER() OVER (ORDER BY scan_number DESC) AS number,
        COUNT(*) OVER () AS total
    FROM scan_history
    WHERE root = (SELECT root FROM scan_info)
)
WHERE total <= COALESCE(:points, 200)
    OR number % ((total + COALESCE(:points, 200) - 1) / COALESCE(:points, 200)) = 1
-- A clock that was set back does not turn the line back.
ORDER BY finished_at, scan_number
