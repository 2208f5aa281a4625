-- The scan in the database is the measure for later ones, except of the repositories in temp.hidden_repository, of
-- which the last that was seen stays.
INSERT OR IGNORE INTO seen_repository
SELECT s.root, r.name, r.tag_count, r.revision_count FROM scan s, repository r
WHERE r.name IN (SELECT name FROM temp.hidden_repository);

DELETE FROM seen_repository
WHERE root = (SELECT root FROM scan)
    AND repository NOT IN (SELECT name FROM repository)
    AND repository NOT IN (SELECT name FROM temp.hidden_repository);

INSERT INTO seen_repository
SELECT s.root, r.name, r.tag_count, r.revision_count FROM scan s, repository r
WHERE r.name NOT IN (SELECT name FROM temp.hidden_repository)
ON CONFLICT DO UPDATE SET tag_count = excluded.tag_count, revision_count = excluded.revision_count
WHERE tag_count <> excluded.tag_count OR revision_count <> excluded.revision_count;

-- A deletion that is seen to its end, and one that was killed and has been allowed for long enough.
DELETE FROM own_deletion
WHERE recorded_ns < (SELECT finished_ns FROM scan) - 86400 * 1000000000
    OR NOT EXISTS (
        SELECT 1 FROM seen_repository s
        WHERE s.root = (SELECT root FROM scan) AND s.repository = own_deletion.repository
            AND (s.tag_count > own_deletion.tag_count OR s.revision_count > own_deletion.revision_count)
    );

DROP TABLE temp.hidden_repository;
