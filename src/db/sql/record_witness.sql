-- The scan in the database, if it is whole and nothing has vanished in it.
INSERT OR IGNORE INTO witness SELECT scan_number, 'scan' FROM scan
WHERE is_complete AND NOT EXISTS (SELECT 1 FROM problem WHERE code = 'vanished');

-- A deletion that was killed has been allowed for long enough.
DELETE FROM own_removal
WHERE recorded_ns < (SELECT finished_ns FROM scan) - 86400 * 1000000000
    AND (SELECT scan_number FROM scan) IN (SELECT scan_number FROM witness);
