-- title: Blobs that no root knows
-- summary: Blobs on disk that no export given with scan --roots names or reaches
-- param: limit limit = all -- rows to show
-- column: blob_digest digest -- the blob
-- column: size_bytes bytes -- bytes on disk
-- column: is_orphan flag -- 1: nothing on disk leads to it either, so prune --garbage takes it
-- column: modified_at time -- when its data was last written (UTC)
-- total: size_bytes
-- next: regsql why DIGEST -- what on disk leads to one of them
--
-- No row without roots. What was pushed since the export was written is here, too: no database knew it then. It
-- selects nothing: what is garbage goes with `prune --garbage`. [docs/roots.md](roots.md) has the exports.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS blob_digest,
    b.size_bytes AS size_bytes,
    b.is_orphan AS is_orphan,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.modified_ns / 1000000000, 'unixepoch') AS modified_at
FROM authority a
CROSS JOIN blob b
WHERE a.roots_count > 0
    AND b.is_present
    AND b.id NOT IN (SELECT blob_id FROM known_blob)
ORDER BY b.size_bytes DESC, b.id
LIMIT COALESCE(:limit, -1)
