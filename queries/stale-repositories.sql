-- title: Repositories without a push for a long time
-- summary: Repositories that were not pushed to for some months, by what deleting them frees
-- param: days days = 180 -- days without a push, counted back from the scan
-- param: repository glob = * -- only repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository
-- column: last_pushed_at time -- the newest revision or tag link
-- column: tag_count count -- its tags
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: exclusive_bytes bytes -- reached by no other repository: what deleting it frees
-- bar: exclusive_bytes
-- total: tag_count
-- selects: repositories
-- metric: regsql_stale_repositories = count -- repositories without a push for 180 days
--
-- A registry does not remember pulls: a base image without pushes may be in use every day.
-- Repositories that only stale ones share layers with free more together than each alone.
SELECT
    name AS repository,
    strftime('%Y-%m-%dT%H:%M:%SZ', last_pushed_ns / 1000000000, 'unixepoch') AS last_pushed_at,
    tag_count,
    logical_bytes,
    exclusive_bytes
FROM repository
WHERE last_pushed_ns <= (SELECT finished_ns FROM scan) - COALESCE(:days, 180) * 86400000000000
    AND name GLOB COALESCE(:repository, '*')
ORDER BY exclusive_bytes DESC, name
LIMIT COALESCE(:limit, 20)
