-- The scan behind the page.
SELECT root, finished_at, duration_ms, tool_version, complete,
    suspected_authority IS NOT NULL AND authority = 'storage' AS has_other_authority,
    (SELECT detail FROM problems WHERE code = 'directory-unreadable' ORDER BY path LIMIT 1) AS unreadable_reason
FROM scan_info
