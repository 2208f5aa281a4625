-- Tags that can be pulled whole, as far as the scan knows.
SELECT repository, tag FROM tags WHERE is_broken = 0 AND manifest_digest IS NOT NULL
