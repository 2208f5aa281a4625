-- title: Bytes of each repository over time
-- summary: What each repository held at each scan, and how much it grew since its scan before
-- column: registry text -- the registry
-- column: repository text -- the repository
-- column: finished_at time -- when the scan ended
-- column: logical_bytes bytes -- distinct present blobs that it reached
-- column: grown_bytes bytes -- more than at its scan before; nothing at the first
-- column: exclusive_bytes bytes -- of them, reached by no other repository of the registry
-- column: tag_count count -- tags
--
-- Layers that repositories share are in the figures of each: the sum over repositories is more than what
-- the disk holds.
WITH history AS (
    SELECT
        registry,
        repository,
        finished_at,
        MAX(logical_bytes) AS logical_bytes,
        MAX(exclusive_bytes) AS exclusive_bytes,
        MAX(tag_count) AS tag_count
    FROM repository_history
    GROUP BY registry, repository, finished_at
)
SELECT
    registry,
    repository,
    finished_at,
    logical_bytes,
    logical_bytes - MAX(logical_bytes) OVER (
        PARTITION BY registry, repository ORDER BY finished_at ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING
    ) AS grown_bytes,
    exclusive_bytes,
    tag_count
FROM history
ORDER BY registry, repository, finished_at
