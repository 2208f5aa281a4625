-- title: The largest layers
-- summary: Layers by their bytes on disk, with how many images hold them and the build command behind them
-- param: limit limit = 20 -- rows to show
-- column: layer_digest digest -- the layer
-- column: size_bytes bytes -- bytes on disk (compressed)
-- column: manifest_count count -- manifests that name it
-- column: tag_count count -- tags that reach it
-- column: created_by command -- the build command behind it
-- column: repository_count count -- repositories that reach it
-- bar: size_bytes
-- total: size_bytes
-- selects: layers
-- next: regsql report layer-images -p digest=DIGEST -- which images hold one of them
-- next: regsql report rare-layers -- those that few images hold
-- next: regsql why DIGEST -- the chain of who keeps one of them
--
-- A layer lies on disk once, however many images name it, so these bytes add up. A layer that no
-- image names any more (0 manifests) is an orphan; `orphan-blobs` has it.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS layer_digest,
    b.size_bytes AS size_bytes,
    b.manifest_count AS manifest_count,
    b.tag_count AS tag_count,
    s.created_by AS created_by,
    b.repository_count AS repository_count
FROM blob b
LEFT JOIN build_step s ON s.id = b.build_step_id
WHERE b.layer_media_type_id IS NOT NULL AND b.size_bytes IS NOT NULL
-- Ids follow the order of digests.
ORDER BY b.size_bytes DESC, b.id DESC
LIMIT COALESCE(:limit, 20)
