-- Blobs on disk that may be corrupt: content read and found wrong, or a size that no manifest agrees with. What was read and
-- found right is among neither (db/sql/blame_manifests.sql).
SELECT DISTINCT digest
FROM problem
WHERE code IN ('blob-content-mismatch', 'size-mismatch') AND digest IS NOT NULL
ORDER BY digest
