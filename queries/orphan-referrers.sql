-- title: Signatures and other referrers whose image is gone
-- summary: Manifests and tags that belong to an image that is not, or no longer, in their repository
-- param: include_tagged no|yes = no -- also referrers with a subject that an ordinary tag keeps
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag that names the image, such as `sha256-….sig`; nothing for a referrer by subject
-- column: manifest_digest digest -- the referrer
-- column: artifact_type text -- what it says it is
-- column: subject_digest digest -- the image it belongs to
-- column: is_tagged flag -- a tag keeps it
-- column: pushed_at time -- when it was last pushed
-- column: exclusive_bytes bytes -- freed by deleting it alone
-- selects: tags
--
-- SBOMs, signatures and attestations of deleted images: manifests with a `subject`, and cosign's tags
-- `sha256-<digest>.sig`, `.att` and `.sbom` as well as the fallback tags of clients without the referrers
-- API. As long as the image is there they belong to it and go with it. A client may also push a referrer
-- before its image, so a young one may only be early.
SELECT
    r.name AS repository,
    x.tag AS tag,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest,
    a.name AS artifact_type,
    x.subject_digest AS subject_digest,
    x.is_tagged AS is_tagged,
    strftime('%Y-%m-%dT%H:%M:%SZ', x.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    x.exclusive_bytes AS exclusive_bytes
FROM (
    SELECT
        v.repository_id,
        NULL AS tag,
        m.blob_id AS manifest_id,
        COALESCE(s.other_digest, 'sha256:' || lower(hex(s.hash))) AS subject_digest,
        v.is_tagged,
        v.pushed_ns,
        v.exclusive_bytes
    FROM manifest m
    CROSS JOIN revision v ON v.blob_id = m.blob_id
    JOIN blob s ON s.id = m.subject_blob_id
    WHERE m.subject_blob_id IS NOT NULL
        AND v.is_held = 0
        AND (v.is_tagged = 0 OR COALESCE(:include_tagged, 'no') = 'yes')
        AND (s.is_present = 0 OR NOT EXISTS (
            SELECT 1 FROM revision x WHERE x.repository_id = v.repository_id AND x.blob_id = m.subject_blob_id))
    UNION ALL
    SELECT t.repository_id, t.name, t.manifest_id, c.subject_digest, 1, t.pushed_ns, t.exclusive_bytes
    FROM tag_class c
    CROSS JOIN tag t ON t.id = c.tag_id
    JOIN repository r ON r.id = t.repository_id
    WHERE c.class = 'referrer'
        AND c.subject_digest IS NOT NULL
        AND t.manifest_id IS NOT NULL
        AND r.is_held = 0
        AND NOT EXISTS (
            SELECT 1 FROM revision x JOIN blob s ON s.id = x.blob_id
            WHERE x.repository_id = t.repository_id AND x.blob_id = c.subject_id AND s.is_present)
        -- Something else that needs it also keeps it.
        AND NOT EXISTS (
            SELECT 1 FROM tag o LEFT JOIN tag_class d ON d.tag_id = o.id
            WHERE o.manifest_id = t.manifest_id AND o.repository_id = t.repository_id AND d.class IS NOT 'referrer')
) x
JOIN repository r ON r.id = x.repository_id
LEFT JOIN blob b ON b.id = x.manifest_id
LEFT JOIN manifest m ON m.blob_id = x.manifest_id
LEFT JOIN media_type a ON a.id = m.artifact_type_id
WHERE r.name GLOB COALESCE(:repository, '*')
ORDER BY r.name, x.manifest_id, x.tag
LIMIT COALESCE(:limit, -1)
