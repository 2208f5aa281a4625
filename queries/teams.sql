-- title: Teams: repositories by path prefix
-- summary: What each path prefix holds, what deleting all of it would free, and how it grew
-- param: depth integer 1.. = 1 -- how many parts of the path make a team: 2 for org/team/app
-- param: days days 0.. = 30 -- growth since the newest scan at least this many days older, or the oldest there is
-- param: limit limit = 20 -- rows to show
-- column: team text -- the prefix; a repository with fewer parts is a team of its own
-- column: exclusive_bytes bytes -- reached by no repository of another team: what deleting the whole team frees
-- column: shared_bytes bytes -- also reached by repositories of other teams
-- column: logical_bytes bytes -- distinct present blobs that its repositories reach
-- column: grown_bytes bytes -- growth of its repositories' logical bytes, each counted alone; empty when there is no earlier scan
-- column: repository_count count -- its repositories
-- column: tag_count count -- their tags
-- column: untagged_revision_count count -- their untagged revisions
-- bar: exclusive_bytes
-- total: repository_count tag_count untagged_revision_count
-- next: regsql report growth -p days=30 -- which repositories grew
--
-- The exclusive bytes of a team are more than the sum over its repositories: a layer that two of
-- them share is exclusive to neither, and comes free when both go. Teams add up to the storage
-- only with what they share and what nothing refers to.
WITH RECURSIVE
cut (repository_id, prefix, rest, parts) AS (
    SELECT id, '', name, 0 FROM repository
    UNION ALL
    SELECT
        repository_id,
        prefix || CASE WHEN parts > 0 THEN '/' ELSE '' END || substr(rest, 1, instr(rest || '/', '/') - 1),
        substr(rest, instr(rest || '/', '/') + 1),
        parts + 1
    FROM cut
    WHERE parts < COALESCE(:depth, 1) AND rest <> ''
),
-- A repository with fewer parts is a team without those below it.
member (repository_id, team, is_alone) AS MATERIALIZED (
    SELECT repository_id, prefix, parts < COALESCE(:depth, 1)
    FROM cut
    WHERE parts = COALESCE(:depth, 1) OR (rest = '' AND parts > 0)
),
pair (then_number) AS (
    SELECT COALESCE(
        MAX(CASE WHEN then_.finished_ns <= now.finished_ns - COALESCE(:days, 30) * 86400000000000
            THEN then_.scan_number END),
        MIN(then_.scan_number))
    FROM scan
    JOIN past_scan now ON now.scan_number = scan.scan_number
    JOIN past_scan then_ ON then_.scan_number < now.scan_number AND then_.root = now.root
),
growth (team, bytes) AS (
    SELECT m.team, CAST(SUM((p.logical_bytes - COALESCE(b.logical_bytes, 0)) * 1.0) AS INTEGER)
    FROM repository p
    JOIN member m ON m.repository_id = p.id
    CROSS JOIN pair
    LEFT JOIN past_repository b
        ON b.name = p.name AND pair.then_number BETWEEN b.first_scan AND b.last_scan
    WHERE pair.then_number IS NOT NULL
    GROUP BY m.team
)
SELECT
    m.team AS team,
    MAX(COALESCE(x.exclusive_bytes, p.exclusive_bytes)) AS exclusive_bytes,
    MAX(COALESCE(x.logical_bytes - x.exclusive_bytes, p.logical_bytes - p.exclusive_bytes)) AS shared_bytes,
    MAX(COALESCE(x.logical_bytes, p.logical_bytes)) AS logical_bytes,
    g.bytes AS grown_bytes,
    COUNT(*) AS repository_count,
    SUM(p.tag_count) AS tag_count,
    SUM(p.untagged_revision_count) AS untagged_revision_count
FROM member m
JOIN repository p ON p.id = m.repository_id
LEFT JOIN name_prefix x ON x.prefix = m.team AND m.is_alone = 0
LEFT JOIN growth g ON g.team = m.team
GROUP BY m.team
ORDER BY exclusive_bytes DESC, m.team
LIMIT COALESCE(:limit, 20)
