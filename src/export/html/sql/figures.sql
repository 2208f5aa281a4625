-- Every figure about the whole storage, and the sums that the picture of the disk needs.
SELECT name, value FROM totals
UNION ALL
SELECT 'repository_exclusive_bytes', COALESCE(CAST(SUM(exclusive_bytes * 1.0) AS INTEGER), 0) FROM repositories
UNION ALL
SELECT 'repository_untagged_bytes', COALESCE(CAST(SUM(untagged_bytes * 1.0) AS INTEGER), 0) FROM repositories
UNION ALL
SELECT 'tag_exclusive_bytes', COALESCE(CAST(SUM(exclusive_bytes * 1.0) AS INTEGER), 0) FROM tags
