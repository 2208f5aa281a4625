SELECT path, detail FROM problem
WHERE code = 'vanished' AND NOT EXISTS (
    SELECT 1 FROM witness w JOIN scan s ON s.scan_number = w.scan_number
)
ORDER BY id
