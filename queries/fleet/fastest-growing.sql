-- title: Repositories that grew most in 30 days
-- summary: The change of each repository's bytes over the 30 days before the newest scan of its registry
-- column: registry text -- the registry
-- column: repository text -- the repository
-- column: grown_bytes bytes -- how much its logical bytes grew
-- column: logical_bytes bytes -- its logical bytes now
-- column: before_bytes bytes -- its logical bytes then; 0 when it was not there
-- column: since_at time -- the scan that it is compared with
--
-- Compared is the newest scan that is 30 days older than the registry's newest, or the oldest there is.
WITH history AS (
    SELECT registry, repository, finished_at, MAX(logical_bytes) AS logical_bytes
    FROM repository_history
    GROUP BY registry, repository, finished_at
),
scans AS (
    SELECT registry, finished_at FROM scan_history GROUP BY registry, finished_at
),
newest AS (
    SELECT registry, MAX(finished_at) AS now_at FROM scans GROUP BY registry
),
pair AS (
    SELECT
        s.registry AS registry,
        n.now_at AS now_at,
        COALESCE(
            MAX(CASE WHEN s.finished_at <= n.now_at - INTERVAL '30' DAY THEN s.finished_at END),
            MIN(s.finished_at)) AS since_at
    FROM scans s
    JOIN newest n ON n.registry = s.registry
    GROUP BY s.registry, n.now_at
),
now_rows AS (
    SELECT p.registry AS registry, h.repository AS repository, h.logical_bytes AS logical_bytes, p.since_at AS since_at
    FROM history h
    JOIN pair p ON p.registry = h.registry AND p.now_at = h.finished_at
),
then_rows AS (
    SELECT p.registry AS registry, h.repository AS repository, h.logical_bytes AS logical_bytes
    FROM history h
    JOIN pair p ON p.registry = h.registry AND p.since_at = h.finished_at
)
SELECT
    n.registry AS registry,
    n.repository AS repository,
    n.logical_bytes - COALESCE(t.logical_bytes, 0) AS grown_bytes,
    n.logical_bytes AS logical_bytes,
    COALESCE(t.logical_bytes, 0) AS before_bytes,
    n.since_at AS since_at
FROM now_rows n
LEFT JOIN then_rows t ON t.registry = n.registry AND t.repository = n.repository
ORDER BY grown_bytes DESC, registry, repository
LIMIT 100
