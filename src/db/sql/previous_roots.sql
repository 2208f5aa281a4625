-- The files of roots that a scan read.
SELECT path, form, row_count, exported_ns, has_blobs, has_manifests_elsewhere, has_pulls, has_streams
FROM root_source
ORDER BY id
