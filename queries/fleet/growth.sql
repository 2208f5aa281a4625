-- title: Bytes of each registry over time
-- summary: What each registry held at each scan, and how much it grew since the one before
-- column: registry text -- the registry
-- column: finished_at time -- when the scan ended
-- column: blob_bytes bytes -- blobs on disk
-- column: grown_bytes bytes -- more than at the scan before; nothing at the first
-- column: orphan_bytes bytes -- of them, orphan blobs
-- column: repository_count count -- repositories
-- column: tag_count count -- tags
--
-- An export carries the history that its database has, so that scans show which were never exported, and
-- those of a database that was lost stay in the exports of its time.
WITH history AS (
    SELECT
        registry,
        finished_at,
        MAX(blob_bytes) AS blob_bytes,
        MAX(orphan_bytes) AS orphan_bytes,
        MAX(repository_count) AS repository_count,
        MAX(tag_count) AS tag_count
    FROM scan_history
    GROUP BY registry, finished_at
)
SELECT
    registry,
    finished_at,
    blob_bytes,
    blob_bytes - MAX(blob_bytes) OVER (
        PARTITION BY registry ORDER BY finished_at ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING
    ) AS grown_bytes,
    orphan_bytes,
    repository_count,
    tag_count
FROM history
ORDER BY registry, finished_at
