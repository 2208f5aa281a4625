-- title: Revisions that no root names
-- summary: Manifests on disk that no export given with scan --roots names or reaches in their repository
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: manifest_digest digest -- the manifest
-- column: is_tagged flag -- 1: a tag on disk leads to it
-- column: exclusive_bytes bytes -- bytes that only it reaches: freed by deleting it alone
-- column: pushed_at time -- when it was last pushed (UTC)
-- selects: revisions
-- next: regsql why REPOSITORY@DIGEST -- what keeps one of them
--
-- No row without roots. What was pushed since the export was written is here, too: `prune` keeps it while it is
-- younger than `--min-age`, and refuses an export that is older than that. With `scan --authority roots`,
-- `prune untagged-revisions` takes the same and follows what keeps what.
SELECT
    r.name AS repository,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest,
    v.is_tagged AS is_tagged,
    v.exclusive_bytes AS exclusive_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at
FROM revision v
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = v.blob_id
WHERE (SELECT MAX(roots_count) FROM authority) > 0
    AND v.blob_id NOT IN (SELECT blob_id FROM known_blob)
    AND v.is_held = 0
ORDER BY v.exclusive_bytes DESC, r.name, v.blob_id
LIMIT COALESCE(:limit, -1)
