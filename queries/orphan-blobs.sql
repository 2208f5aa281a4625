-- title: Orphan blobs: nothing refers to them
-- summary: Blobs on disk that no revision, tag or unreadable root in any repository reaches
-- param: min_bytes bytes 0.. = 0 -- only blobs of at least this size
-- param: older_than days = 0 -- only blobs written at least this many days before the scan
-- param: limit limit = all -- rows to show
-- column: blob_digest digest -- the blob
-- column: kind text -- layer, config, manifest, index or unknown, as far as orphan manifests say
-- column: size_bytes bytes -- bytes on disk: come free when it is deleted
-- column: modified_at time -- when its data was last written
-- bar: size_bytes
-- total: size_bytes
-- selects: blobs
-- next: regsql why DIGEST -- why one of them is garbage, and what still names it
--
-- What `registry garbage-collect` would delete, largest first. A blob that was just written may
-- belong to a push that has not sent its manifest yet: `prune` leaves young ones alone.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS blob_digest,
    b.kind AS kind,
    b.size_bytes AS size_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.modified_ns / 1000000000, 'unixepoch') AS modified_at
FROM blob b
WHERE b.is_orphan = 1
    AND b.size_bytes >= COALESCE(:min_bytes, 0)
    AND (COALESCE(:older_than, 0) = 0
        OR b.modified_ns <= (SELECT finished_ns FROM scan) - :older_than * 86400000000000)
ORDER BY b.size_bytes DESC, b.id DESC
LIMIT COALESCE(:limit, -1)
