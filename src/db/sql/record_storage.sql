INSERT OR REPLACE INTO storage (
    id, proxy_url, disk_bytes, disk_used_bytes, disk_free_bytes, max_vanished_percent,
    noncurrent_version_count, noncurrent_version_bytes, delete_marker_count,
    multipart_upload_count, multipart_upload_bytes, inventory, inventory_ns
)
VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
