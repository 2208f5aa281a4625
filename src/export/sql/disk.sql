-- The file system that holds the blobs.
SELECT disk_bytes, disk_used_bytes, disk_free_bytes
FROM scan_info
