-- title: How full the disk is, and with what
-- summary: The disk of the blobs: what the registry takes of it and as what, what others take, what is free
-- column: what text -- what takes the space; the lines before `this registry` add up to it
-- column: count count -- files; for directories, directories
-- column: size_bytes bytes -- sizes of the files
-- column: disk_bytes bytes -- what that takes on the disk
-- column: disk_percent number -- percent of the disk
-- bar: disk_bytes
--
-- Blocks, as `du` counts them, and not sizes: a sparse or compressed file takes less than its size, a small one a
-- whole block. Of files with several names, as snapshots by hard links have them, those of the registry count. What
-- directories take is reckoned from their number; those with very many names take more. `trash` is all of `.regsql`, `strays` what no
-- registry wrote, of both at most 10,000 names: a plus sign says that there is more. `other files` is what `df`
-- calls used and is not this registry's, on whatever belongs to the same file system. A storage in a bucket has
-- no disk, and no lines here.
WITH disk (size_bytes, used_bytes, free_bytes) AS (
    SELECT disk_bytes, disk_used_bytes, disk_free_bytes FROM storage WHERE disk_used_bytes IS NOT NULL
),
registry (bytes, is_complete) AS (
    SELECT CAST(SUM(disk_bytes * 1.0) AS INTEGER), MIN(is_complete) FROM used_space
),
line (position, what, count, size_bytes, disk_bytes) AS (
    SELECT
        CASE what WHEN 'blobs' THEN 1 WHEN 'links' THEN 2 WHEN 'directories' THEN 3 WHEN 'uploads' THEN 4
            WHEN 'trash' THEN 5 ELSE 6 END,
        what, item_count, size_bytes, disk_bytes
    FROM used_space
    UNION ALL
    SELECT 7, CASE WHEN is_complete THEN 'this registry' ELSE 'this registry +' END, NULL, NULL, bytes
    FROM registry WHERE bytes IS NOT NULL
    UNION ALL
    -- Where blobs and links lie on two disks, the one is not part of the other.
    SELECT 8, 'other files', NULL, NULL, d.used_bytes - r.bytes
    FROM disk d CROSS JOIN registry r WHERE d.used_bytes >= r.bytes
    UNION ALL
    SELECT 9, 'free for root alone', NULL, NULL, size_bytes - used_bytes - free_bytes
    FROM disk WHERE size_bytes > used_bytes + free_bytes
    UNION ALL
    SELECT 10, 'free', NULL, NULL, free_bytes FROM disk
    UNION ALL
    SELECT 11, 'the disk', NULL, NULL, size_bytes FROM disk
)
SELECT
    l.what AS what,
    l.count AS count,
    l.size_bytes AS size_bytes,
    l.disk_bytes AS disk_bytes,
    ROUND(l.disk_bytes * 100.0 / NULLIF(d.size_bytes, 0), 1) AS disk_percent
FROM line l
LEFT JOIN disk d
WHERE EXISTS (SELECT 1 FROM used_space)
ORDER BY l.position
