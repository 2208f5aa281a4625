-- What the registry takes of its disk, by what it is.
SELECT what, disk_bytes
FROM disk_use
ORDER BY what
