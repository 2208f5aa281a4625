-- A blob that was read and found right has the size that it ought to have: the manifests that say another one are at fault.
INSERT INTO problem (code, severity, repository, digest, path, detail)
SELECT DISTINCT
    'declared-size-wrong',
    'error',
    NULL,
    COALESCE(m.other_digest, 'sha256:' || lower(hex(m.hash))),
    -- Both lie at blobs/sha256/<2 digits>/<64 digits>/data.
    substr(p.path, 1, length(p.path) - 72)
        || lower(substr(hex(m.hash), 1, 2)) || '/' || lower(hex(m.hash)) || '/data',
    'it says ' || f.declared_bytes || ' bytes of ' || p.digest || ', which has ' || b.size_bytes
FROM problem p
JOIN problem_blob n ON n.problem_id = p.id
JOIN blob b ON b.id = n.blob_id
CROSS JOIN referenced_by x ON x.blob_id = b.id
CROSS JOIN reference f ON f.manifest_id = x.manifest_id AND f.position = x.position
JOIN manifest k ON k.blob_id = f.manifest_id
JOIN blob m ON m.id = f.manifest_id
WHERE p.code = 'size-mismatch' AND b.verified_ns IS NOT NULL AND k.is_orphan = 0 AND f.declared_bytes <> b.size_bytes
    AND f.role <> 'subject';

DELETE FROM problem
WHERE code = 'size-mismatch' AND id IN (
    SELECT n.problem_id FROM problem_blob n JOIN blob b ON b.id = n.blob_id WHERE b.verified_ns IS NOT NULL);
