-- A database of before witnesses were kept has none: its last whole scan is one.
SELECT finished_ns FROM past_scan
WHERE root = ?1 AND (
    scan_number IN (SELECT scan_number FROM witness)
    OR is_complete AND NOT EXISTS (SELECT 1 FROM witness)
)
ORDER BY scan_number DESC
LIMIT 1
