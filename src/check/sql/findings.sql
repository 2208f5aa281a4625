-- Every problem, how much it counts, and which tags cannot be pulled for it.
WITH
broken AS MATERIALIZED (
    SELECT
        b.problem_id,
        count(*) AS tag_count,
        group_concat(r.name || ':' || t.name, ', ' ORDER BY b.tag_id) FILTER (WHERE b.place <= 3)
            || CASE WHEN count(*) > 3 THEN ', …' ELSE '' END AS tags
    FROM (
        SELECT problem_id, tag_id, row_number() OVER (PARTITION BY problem_id ORDER BY tag_id) AS place
        FROM problem_tag
    ) b
    JOIN tag t ON t.id = b.tag_id
    JOIN repository r ON r.id = t.repository_id
    GROUP BY b.problem_id
),
weighed AS (
    SELECT
        p.id, p.code, p.repository, p.path, p.detail, p.digest,
        COALESCE(json_extract(:severities, '$."' || p.code || '"'), p.severity) AS severity
    FROM problem p
)
SELECT
    w.severity AS severity,
    w.code AS code,
    b.tags AS first_broken_tags,
    w.path AS path,
    COALESCE(b.tag_count, 0) AS broken_tag_count,
    w.repository AS repository,
    w.detail AS detail,
    w.digest AS digest
FROM weighed w
LEFT JOIN broken b ON b.problem_id = w.id
WHERE w.severity <> 'off'
ORDER BY CASE w.severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, w.code, w.path, w.digest, w.id
