-- One revision.
SELECT
    v.is_tagged,
    v.is_held,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    v.logical_bytes,
    v.exclusive_bytes
FROM revision v
WHERE v.repository_id = :repository AND v.blob_id = :blob
