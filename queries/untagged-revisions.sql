-- title: Revisions that no tag leads to
-- summary: What overwritten and deleted tags left behind: manifests that are still linked, and not tagged
-- param: repository glob = * -- only in repositories whose name matches
-- param: older_than days = 0 -- only revisions pushed at least this many days before the scan
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: manifest_digest digest -- the revision
-- column: exclusive_bytes bytes -- freed by deleting it alone
-- column: pushed_at time -- when it was last pushed
-- column: kind text -- image, index, artifact, schema1 or unknown
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- bar: exclusive_bytes
-- selects: revisions
-- next: regsql prune untagged-revisions -- what would go with all of them, and what that frees
-- next: regsql why REPOSITORY@DIGEST -- which tag left one behind, and what it frees
--
-- Left out are the children of an index that is tagged, the referrers (signatures, SBOMs) of
-- something tagged, and revisions that are *held*: nothing in a repository of which a part cannot
-- be read is called untagged garbage (`SELECT * FROM revisions WHERE is_held`; `report problems`
-- says what cannot be read). There is no total: revisions share layers, and free more together
-- than the sum of what each frees alone.
--
-- An untagged revision can still be pulled by its digest. If deployments here pin digests, list
-- those in use and give them to `prune --protect`.
SELECT
    r.name AS repository,
    CASE
        WHEN v.untagged_hash IS NOT NULL THEN 'sha256:' || lower(hex(v.untagged_hash))
        ELSE (SELECT COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) FROM blob b WHERE b.id = v.blob_id)
    END AS manifest_digest,
    v.exclusive_bytes AS exclusive_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    v.untagged_kind AS kind,
    v.logical_bytes AS logical_bytes
FROM revision v
CROSS JOIN repository r ON r.id = v.repository_id
WHERE v.is_tagged = 0 AND v.is_held = 0
    AND r.name GLOB COALESCE(:repository, '*')
    AND (COALESCE(:older_than, 0) = 0
        OR v.pushed_ns <= (SELECT finished_ns FROM scan) - :older_than * 86400000000000)
ORDER BY v.exclusive_bytes DESC, v.repository_id, v.blob_id
LIMIT COALESCE(:limit, -1)
