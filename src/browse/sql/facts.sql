SELECT
    COALESCE((SELECT inventory_ns FROM storage), (SELECT finished_ns FROM scan)), (SELECT root FROM scan), (SELECT is_complete FROM scan),
    COALESCE((SELECT value FROM total WHERE name = 'blob_bytes'), 0),
    COALESCE((SELECT CAST(SUM(size_bytes * 1.0) AS INTEGER) FROM reclaimable), 0),
    (SELECT COUNT(*) FROM problem)
