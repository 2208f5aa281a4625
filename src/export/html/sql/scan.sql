-- The scan behind the page.
SELECT root, finished_at, duration_ms, tool_version, complete
FROM scan_info
