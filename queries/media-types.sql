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
WITH layer AS (
    SELECT kind, layer_media_type_id AS media_type_id, COUNT(size_bytes) AS count, SUM(size_bytes) AS bytes
    FROM blob
    WHERE layer_media_type_id IS NOT NULL AND kind NOT IN ('manifest', 'index')
    GROUP BY kind, layer_media_type_id
),
part (kind, media_type_id, artifact_type_id, count, bytes) AS (
    SELECT kind, media_type_id, NULL, count, bytes FROM layer
    UNION ALL
    -- What no manifest gives a type is counted once for the whole storage: its rows need no look.
    SELECT k.kind, NULL, NULL,
        c.value - COALESCE((SELECT SUM(l.count) FROM layer l WHERE l.kind = k.kind), 0),
        s.value - COALESCE((SELECT SUM(l.bytes) FROM layer l WHERE l.kind = k.kind), 0)
    FROM (SELECT 'layer' AS kind UNION ALL SELECT 'config' UNION ALL SELECT 'unknown') k
    JOIN total c ON c.name = k.kind || '_count'
    JOIN total s ON s.name = k.kind || '_bytes'
    UNION ALL
    SELECT m.kind, m.media_type_id, m.artifact_type_id, COUNT(*), SUM(b.size_bytes)
    FROM manifest m
    CROSS JOIN blob b ON b.id = m.blob_id
    WHERE b.is_present = 1 AND b.kind IN ('manifest', 'index')
    GROUP BY m.kind, m.media_type_id, m.artifact_type_id
)
SELECT
    p.kind AS kind,
    t.name AS media_type,
    a.name AS artifact_type,
    p.count AS count,
    p.bytes AS bytes
FROM part p
LEFT JOIN media_type t ON t.id = p.media_type_id
LEFT JOIN media_type a ON a.id = p.artifact_type_id
WHERE p.count > 0
ORDER BY p.bytes DESC, p.kind, t.name, a.name
