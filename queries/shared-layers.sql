-- title: Layers that save most by being shared
-- summary: Layers by the bytes that they save because images share them
-- param: limit limit = 20 -- rows to show
-- column: layer_digest digest -- the layer
-- column: saved_bytes bytes -- its size for every manifest but one: what copies would take
-- column: size_bytes bytes -- bytes on disk
-- column: manifest_count count -- manifests that name it
-- column: created_by command -- the build command behind it
-- column: repository_count count -- repositories that reach it
-- column: tag_count count -- tags that reach it
-- bar: saved_bytes
-- total: saved_bytes
-- next: regsql report layer-images -p digest=DIGEST -- which images hold one of them
--
-- The other side of `rare-layers`: base images and common steps. Deleting a few of the images that
-- hold such a layer frees nothing of it.
WITH chosen AS (
    SELECT id, size_bytes * (manifest_count - 1) AS saved_bytes
    FROM blob
    WHERE layer_media_type_id IS NOT NULL AND +size_bytes IS NOT NULL AND manifest_count > 1
    ORDER BY size_bytes * (manifest_count - 1) DESC, id
    LIMIT COALESCE(:limit, 20)
)
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS layer_digest,
    c.saved_bytes AS saved_bytes,
    b.size_bytes AS size_bytes,
    b.manifest_count AS manifest_count,
    s.created_by AS created_by,
    b.repository_count AS repository_count,
    b.tag_count AS tag_count
FROM chosen c
CROSS JOIN blob b ON b.id = c.id
LEFT JOIN build_step s ON s.id = b.build_step_id
ORDER BY c.saved_bytes DESC, c.id
