-- A deletion of regsql's own counts for a day, and one that began in the future not at all: some clock was wrong.
SELECT
    s.repository,
    MIN(s.tag_count, COALESCE(d.tag_count, s.tag_count)),
    MIN(s.revision_count, COALESCE(d.revision_count, s.revision_count))
FROM seen_repository s
LEFT JOIN own_deletion d
    ON d.repository = s.repository
    AND d.recorded_ns BETWEEN ?2 - 86400 * 1000000000 AND ?2 + 60 * 1000000000
WHERE s.root = ?1
ORDER BY s.repository
