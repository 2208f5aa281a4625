-- The repositories with the most logical bytes.
SELECT name, tag_count, revision_count, logical_bytes, exclusive_bytes, untagged_bytes
FROM repository
ORDER BY logical_bytes DESC, name
LIMIT ?1
