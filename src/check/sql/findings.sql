-- Every problem, how much it counts, and which tags cannot be pulled for it.
WITH
holder AS MATERIALIZED (
    SELECT blob_id, manifest_id FROM problem_holder
),
breaks (problem_id, tag_id) AS (
    SELECT p.id, t.id
    FROM problem_blob n
    CROSS JOIN problem p ON p.id = n.problem_id
    CROSS JOIN holder h ON h.blob_id = n.blob_id
    CROSS JOIN tag t ON t.manifest_id = h.manifest_id
    WHERE p.repository IS NULL
        OR t.repository_id = (SELECT r.id FROM repository r WHERE r.name = p.repository)
    UNION
    -- The tag itself is at fault; its path names it.
    SELECT p.id, t.id
    FROM problem p
    JOIN repository r ON r.name = p.repository
    JOIN tag t ON t.repository_id = r.id AND t.name = replace(
        substr(p.path, instr(p.path, '/_manifests/tags/') + length('/_manifests/tags/')), '/current/link', '')
    WHERE p.code IN ('tag-link-unreadable', 'half-tag', 'tag-without-revision')
    UNION
    SELECT p.id, t.id
    FROM problem p
    JOIN repository r ON r.name = p.repository
    JOIN tag t ON t.repository_id = r.id
    WHERE p.code = 'revisions-directory-missing'
),
broken AS MATERIALIZED (
    SELECT
        b.problem_id,
        count(*) AS tag_count,
        group_concat(r.name || ':' || t.name, ', ' ORDER BY b.tag_id) FILTER (WHERE b.place <= 3)
            || CASE WHEN count(*) > 3 THEN ', …' ELSE '' END AS tags
    FROM (
        SELECT problem_id, tag_id, row_number() OVER (PARTITION BY problem_id ORDER BY tag_id) AS place
        FROM breaks
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
    w.repository AS repository,
    w.path AS path,
    w.detail AS detail,
    COALESCE(b.tag_count, 0) AS broken_tag_count,
    b.tags AS first_broken_tags,
    w.digest AS digest
FROM weighed w
LEFT JOIN broken b ON b.problem_id = w.id
WHERE w.severity <> 'off'
ORDER BY CASE w.severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, w.code, w.path, w.digest, w.id
