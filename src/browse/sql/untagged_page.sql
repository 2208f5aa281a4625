AND (v.repository_id, v.blob_id) IN (
    SELECT repository_id, blob_id
    FROM (
        SELECT repository_id, blob_id, blob_id AS id, exclusive_bytes, logical_bytes, pushed_ns AS time_ns
        FROM revision
        WHERE is_tagged = 0 AND is_held = 0
    )
    ORDER BY {order}, repository_id
    LIMIT :limit OFFSET :offset
)
