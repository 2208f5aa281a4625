-- Blobs on disk that may be corrupt: content read and found wrong, or a size that no manifest agrees with.
SELECT DISTINCT digest
FROM problem
WHERE code IN ('blob-content-mismatch', 'size-mismatch') AND digest IS NOT NULL
ORDER BY digest
