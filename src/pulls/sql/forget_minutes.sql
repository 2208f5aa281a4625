-- The newest minute that goes, so that what stays has at most that number of bytes.
SELECT minute
FROM (SELECT minute, SUM(length(hashes)) OVER (ORDER BY minute DESC) AS newer_bytes FROM pull_minute)
WHERE newer_bytes > ?1
ORDER BY minute DESC
LIMIT 1
