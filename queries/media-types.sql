-- title: What the storage is made of
-- summary: Blobs and bytes by kind and media type: images, indexes, charts, signatures, caches
-- column: kind text -- layer, config, manifest kinds, or unknown
-- column: media_type text -- as the manifests declare it; empty where none does
-- column: artifact_type text -- what an artifact says it is
-- column: count count -- blobs on disk
-- column: bytes bytes -- their bytes
-- bar: bytes
-- total: count bytes
-- metric: regsql_media_type_blobs{kind,media_type,artifact_type} = count -- blobs by kind and media type
-- metric: regsql_media_type_bytes{kind,media_type,artifact_type} = bytes -- bytes of blobs by kind and media type
--
-- Every blob on disk is in one line, orphans too: what no manifest names is of an unknown kind.
SELECT
    u.kind AS kind,
    t.name AS media_type,
    a.name AS artifact_type,
    u.blob_count AS count,
    u.size_bytes AS bytes
FROM media_type_use u
LEFT JOIN media_type t ON t.id = u.media_type_id
LEFT JOIN media_type a ON a.id = u.artifact_type_id
ORDER BY u.size_bytes DESC, u.kind, t.name, a.name
