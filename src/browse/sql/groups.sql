-- Repositories below a prefix by the next part of their names: a group where several begin with it.
WITH below AS (
    SELECT r.*, CASE WHEN r.name = :own THEN '' ELSE substr(r.name, length(:prefix) + 1) END AS rest
    FROM repository r
    WHERE :prefix = '' OR r.name = :own OR (r.name >= :prefix AND r.name < :own || '0')
),
part AS (
    SELECT
        substr(b.rest, 1, instr(b.rest || '/', '/') - 1) AS part,
        COUNT(*) AS repository_count,
        SUM(b.tag_count) AS tag_count,
        CAST(SUM(b.exclusive_bytes * 1.0) AS INTEGER) AS exclusive_bytes,
        MAX(b.logical_bytes) AS logical_bytes,
        MAX(b.last_pushed_ns) AS pushed_ns,
        MAX(b.is_held) AS is_held,
        MAX(x.repository_id IS NOT NULL) AS is_broken,
        MAX(b.name) AS repository,
        MAX(b.rest) AS rest
    FROM below b
    LEFT JOIN temp.broken_repository x ON x.repository_id = b.id
    GROUP BY substr(b.rest, 1, instr(b.rest || '/', '/') - 1)
)
SELECT
    CASE WHEN p.repository_count > 1 THEN 'group' ELSE 'repository' END AS kind,
    CASE WHEN p.repository_count > 1 THEN p.part || '/' WHEN p.rest = '' THEN p.repository ELSE p.rest END AS name,
    CASE WHEN p.repository_count > 1 THEN :prefix || p.part ELSE p.repository END AS repository,
    NULL AS tag,
    NULL AS digest,
    CASE WHEN p.repository_count > 1 THEN COALESCE(g.exclusive_bytes, p.exclusive_bytes) ELSE p.exclusive_bytes END
        AS exclusive_bytes,
    CASE WHEN p.repository_count > 1 THEN COALESCE(g.logical_bytes, p.logical_bytes) ELSE p.logical_bytes END
        AS logical_bytes,
    p.repository_count > 1 AND g.prefix IS NULL AS is_at_least,
    p.tag_count AS item_count,
    p.pushed_ns AS time_ns,
    CASE WHEN p.is_broken THEN '!' ELSE '' END || CASE WHEN p.is_held THEN 'h' ELSE '' END AS flags,
    CASE WHEN p.repository_count > 1 THEN p.repository_count || ' repositories' ELSE '' END AS detail,
    0 AS id
FROM part p
LEFT JOIN temp.group_figure g ON g.prefix = :prefix || p.part
