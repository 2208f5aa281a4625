-- What the snapshot says of one blob.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    b.is_present,
    b.is_orphan,
    b.kind,
    b.size_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', b.modified_ns / 1000000000, 'unixepoch') AS modified_at,
    COALESCE(t.name, l.name) AS media_type,
    a.name AS artifact_type,
    s.created_by,
    b.manifest_count,
    b.repository_count,
    b.tag_count,
    o.name AS only_repository,
    o.exclusive_bytes AS only_repository_bytes,
    g.name AS only_tag,
    p.name AS only_tag_repository,
    g.exclusive_bytes AS only_tag_bytes,
    m.logical_bytes,
    m.subject_blob_id
FROM blob b
LEFT JOIN manifest m ON m.blob_id = b.id
LEFT JOIN media_type t ON t.id = m.media_type_id
LEFT JOIN media_type l ON l.id = b.layer_media_type_id
LEFT JOIN media_type a ON a.id = m.artifact_type_id
LEFT JOIN build_step s ON s.id = b.build_step_id
LEFT JOIN repository o ON o.id = b.only_repository_id
LEFT JOIN tag g ON g.id = b.only_tag_id
LEFT JOIN repository p ON p.id = g.repository_id
WHERE b.id = :blob
