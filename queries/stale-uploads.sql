-- title: Uploads that were begun and never finished
-- summary: Uploads in which nothing happened for some days; they take space and no image will need them
-- param: days days = 7 -- only uploads without a sign of life for this many days before the scan
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: upload_id text -- the upload's directory name
-- column: size_bytes bytes -- bytes received: come free when it is deleted
-- column: started_at time -- when it began; empty when that cannot be read
-- column: active_at time -- the last sign of life
-- bar: size_bytes
-- total: size_bytes
-- selects: uploads
-- metric: regsql_stale_uploads = count -- uploads without a sign of life for a week
-- metric: regsql_stale_upload_bytes = sum size_bytes -- bytes of uploads without a sign of life for a week
--
-- The registry purges uploads after a week, unless its `uploadpurging` is off or the upload's
-- `startedat` cannot be read. Uploads without any time are left out: their age is not known.
SELECT
    r.name AS repository,
    u.upload_id AS upload_id,
    u.size_bytes AS size_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.started_ns / 1000000000, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.active_ns / 1000000000, 'unixepoch') AS active_at
FROM upload u
JOIN repository r ON r.id = u.repository_id
WHERE u.active_ns <= (SELECT finished_ns FROM scan) - COALESCE(:days, 7) * 86400000000000
    AND r.name GLOB COALESCE(:repository, '*')
ORDER BY u.size_bytes DESC, r.name, u.upload_id
LIMIT COALESCE(:limit, -1)
