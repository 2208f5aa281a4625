-- A blob as a step of a path.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    b.kind,
    m.kind AS manifest_kind,
    m.os || '/' || m.architecture || COALESCE('/' || m.variant, '') AS platform,
    m.artifact_type_id IS NOT NULL AS is_artifact
FROM blob b
LEFT JOIN manifest m ON m.blob_id = b.id
WHERE b.id = :blob
