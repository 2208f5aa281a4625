-- title: Since when pulls are known
-- summary: The times for which pulls are known, the newest first, and what limits `not-pulled`
-- param: days days = 90 -- the time that a rule asks for
-- column: from_at time -- since when pulls are known without a gap
-- column: until_at time -- until when
-- column: notice text -- why a rule that goes by pulls names nothing; nothing when it may
--
-- A gap of more than 12 hours between two logs, or between a log and the notifications, begins a new time.
-- `not-pulled` needs the newest one to reach from `days` before the scan to at most a day before it, or an export of
-- `scan --roots` with the column `pulled_at` that is not older than a day.
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', c.from_ns / 1000000000, 'unixepoch') AS from_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', c.to_ns / 1000000000, 'unixepoch') AS until_at,
    CASE
        -- An export says it of the images that it names.
        WHEN EXISTS (SELECT 1 FROM root_pull p WHERE p.exported_ns >= s.finished_ns - 86400000000000) THEN NULL
        WHEN c.from_ns IS NULL THEN 'pulls are not known: read them with `regsql pulls import`; nothing is named'
        WHEN c.to_ns IS NOT (SELECT MAX(to_ns) FROM pull_coverage) THEN NULL
        WHEN c.to_ns < s.finished_ns - 86400000000000 THEN
            'pulls are known until ' || strftime('%Y-%m-%dT%H:%M:%SZ', c.to_ns / 1000000000, 'unixepoch')
            || ' only: import newer logs; nothing is named'
        WHEN c.from_ns > s.finished_ns - COALESCE(:days, 90) * 86400000000000 THEN
            'pulls are known since ' || strftime('%Y-%m-%dT%H:%M:%SZ', c.from_ns / 1000000000, 'unixepoch')
            || ', for less than ' || COALESCE(:days, 90) || ' days: nothing is named'
    END AS notice
FROM scan s
LEFT JOIN pull_coverage c
ORDER BY c.to_ns DESC
