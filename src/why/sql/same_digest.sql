-- Tags of a repository that point at one digest.
SELECT name FROM tag WHERE manifest_id = :blob AND repository_id = :repository ORDER BY id
