-- A blob that nothing reaches.
SELECT
    'blob' AS kind,
    b.kind || ' ' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19) AS name,
    NULL AS repository,
    NULL AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    b.size_bytes AS exclusive_bytes,
    b.size_bytes AS logical_bytes,
    0 AS is_at_least,
    b.manifest_count AS item_count,
    b.modified_ns AS time_ns,
    'o' AS flags,
    COALESCE((SELECT s.created_by FROM build_step s WHERE s.id = b.build_step_id), '') AS detail
FROM blob b
WHERE b.id = :blob
