-- The files of roots that a scan read.
SELECT path, row_count, exported_ns
FROM root_source
ORDER BY id
