SELECT
    fingerprint, root, tool_version, is_complete, is_deep,
    (SELECT MIN(active_ns) FROM upload WHERE active_ns > started_ns - ?1),
    finished_ns,
    -- What had vanished was accepted since, so that it is none any more.
    EXISTS (SELECT 1 FROM problem WHERE code = 'vanished')
        AND scan_number IN (SELECT scan_number FROM witness),
    (SELECT fingerprint FROM authority),
    (SELECT inventory_ns FROM storage)
FROM scan
