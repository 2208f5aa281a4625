-- The scan behind the page.
SELECT root, finished_at, duration_ms, tool_version, complete,
    suspected_authority IS NOT NULL AND authority = 'storage' AS has_other_authority
FROM scan_info
