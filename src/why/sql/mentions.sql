-- Manifests of which a blob is no kept part: those that are garbage themselves, and those that are only about it.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    f.role,
    m.is_orphan,
    f.is_external
FROM referenced_by n
CROSS JOIN manifest m ON m.blob_id = n.manifest_id
CROSS JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
CROSS JOIN blob b ON b.id = n.manifest_id
WHERE n.blob_id = :blob AND (m.is_orphan = 1 OR f.role = 'subject' OR f.is_external = 1)
ORDER BY n.manifest_id, n.position
LIMIT :limit
