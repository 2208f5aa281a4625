-- How old the scan is, and what a reader must know about it.
SELECT
    finished_ns,
    duration_ms,
    is_complete,
    EXISTS (SELECT 1 FROM authority WHERE hides_tags = 1),
    (SELECT inventory_ns FROM storage)
FROM scan
