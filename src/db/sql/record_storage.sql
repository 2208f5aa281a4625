INSERT OR REPLACE INTO storage (id, proxy_url, disk_bytes, disk_free_bytes, max_vanished_percent)
VALUES (1, ?1, ?2, ?3, ?4)
