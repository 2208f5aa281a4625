-- What interrupted writes and the registry's own deletes left.
SELECT DISTINCT path
FROM problem
WHERE code IN ('temporary-file', 'empty-directory')
ORDER BY path
