-- The scan behind the page. What an inventory says is as old as that.
SELECT root, COALESCE(inventory_at, finished_at) AS finished_at, duration_ms, tool_version, complete,
    suspected_authority IS NOT NULL AND authority = 'storage' AS has_other_authority,
    unreadable.place_count AS unreadable_count,
    unreadable.what AS unreadable_what,
    unreadable.reason AS unreadable_reason,
    unreadable.advice AS unreadable_advice
FROM scan_info
LEFT JOIN unreadable_place unreadable ON 1
