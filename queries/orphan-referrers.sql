-- title: Signatures and other referrers whose image is gone
-- summary: Manifests with a subject that is not, or no longer, in their repository
-- param: include_tagged no|yes = no -- also those that a tag keeps
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: manifest_digest digest -- the referrer
-- column: artifact_type text -- what it says it is
-- column: subject_digest digest -- the manifest it is about
-- column: is_tagged flag -- a tag keeps it
-- column: pushed_at time -- when it was last pushed
-- column: exclusive_bytes bytes -- freed by deleting it alone
-- selects: revisions
--
-- SBOMs, signatures and attestations of deleted images. A client may also push a referrer before
-- its subject, so a young one may only be early.
SELECT
    r.name AS repository,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest,
    a.name AS artifact_type,
    COALESCE(s.other_digest, 'sha256:' || lower(hex(s.hash))) AS subject_digest,
    v.is_tagged AS is_tagged,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    v.exclusive_bytes AS exclusive_bytes
FROM manifest m
CROSS JOIN revision v ON v.blob_id = m.blob_id
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = m.blob_id
JOIN blob s ON s.id = m.subject_blob_id
LEFT JOIN media_type a ON a.id = m.artifact_type_id
WHERE m.subject_blob_id IS NOT NULL
    AND v.is_held = 0
    AND (v.is_tagged = 0 OR COALESCE(:include_tagged, 'no') = 'yes')
    AND (s.is_present = 0 OR NOT EXISTS (
        SELECT 1 FROM revision x WHERE x.repository_id = v.repository_id AND x.blob_id = m.subject_blob_id))
    AND r.name GLOB COALESCE(:repository, '*')
ORDER BY r.name, v.blob_id
LIMIT COALESCE(:limit, -1)
