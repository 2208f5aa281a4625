SELECT
    COALESCE((SELECT inventory_ns FROM storage), (SELECT finished_ns FROM scan)), (SELECT root FROM scan), (SELECT is_complete FROM scan),
    COALESCE((SELECT value FROM total WHERE name = 'blob_bytes'), 0),
    COALESCE((SELECT SUM(size_bytes) FROM reclaimable), 0),
    (SELECT COUNT(*) FROM problem)
