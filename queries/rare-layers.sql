-- title: Large layers that few images need
-- summary: Layers ranked by bytes for each reference: where deleting a few images frees much
-- param: references integer 1.. = 3 -- only layers that at most this many manifests name
-- param: min_bytes bytes 0.. = 0 -- only layers of at least this size, such as 10MiB
-- param: limit limit = 20 -- rows to show
-- column: layer_digest digest -- the layer
-- column: size_bytes bytes -- bytes on disk: come free when no image names it any more
-- column: tag_count count -- tags that reach it, whatever their repository
-- column: images text -- up to three of its tags, or repositories where no tag reaches it
-- column: created_by command -- the build command behind it
-- column: manifest_count count -- manifests that name it
-- bar: size_bytes
-- total: size_bytes
-- selects: layers
-- next: regsql report layer-images -p digest=DIGEST -- every image that holds one of them
-- next: regsql why DIGEST -- the chain of who keeps one of them
--
-- Ranked by the layer's size divided by the number of manifests that name it: what each reference
-- costs. A layer that one forgotten image holds comes before a larger one that three images need.
-- The total is what deleting every image that holds one of these layers frees at least: their
-- other layers come on top, if nothing else needs them.
WITH RECURSIVE
ranked AS (
    SELECT id, size_bytes, manifest_count, size_bytes / manifest_count AS rank_key
    FROM blob
    WHERE layer_media_type_id IS NOT NULL
        -- The plus keeps SQLite on the index that has all of these columns.
        AND +size_bytes >= COALESCE(:min_bytes, 0)
        AND manifest_count BETWEEN 1 AND COALESCE(:references, 3)
    ORDER BY size_bytes / manifest_count DESC, size_bytes DESC, id
    LIMIT COALESCE(:limit, 20)
),
-- The manifests that name a layer, and the indexes above them; a referrer does not hold its subject.
-- A condition on one table alone would make SQLite read all of it first, for a Bloom filter.
holder (layer_id, manifest_id) AS (
    SELECT k.id, n.manifest_id
    FROM ranked k
    CROSS JOIN referenced_by n ON n.blob_id = k.id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE CASE WHEN n.position >= 0 THEN f.role <> 'subject' END
    UNION
    SELECT h.layer_id, n.manifest_id
    FROM holder h
    CROSS JOIN referenced_by n ON n.blob_id = h.manifest_id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE CASE WHEN n.position >= 0 THEN f.role <> 'subject' END
),
tagged AS (
    SELECT DISTINCT h.layer_id AS layer_id, r.name || ':' || t.name AS image
    FROM holder h
    CROSS JOIN tag t ON t.manifest_id = h.manifest_id
    JOIN repository r ON r.id = t.repository_id
),
untagged AS (
    SELECT DISTINCT h.layer_id AS layer_id, r.name || ' (untagged)' AS image
    FROM holder h
    CROSS JOIN revision v ON v.blob_id = h.manifest_id
    JOIN repository r ON r.id = v.repository_id
    WHERE CASE WHEN h.manifest_id >= 0 THEN v.is_tagged = 0 END
),
image AS (
    SELECT layer_id, image,
        ROW_NUMBER() OVER (PARTITION BY layer_id ORDER BY is_untagged, image) AS number,
        COUNT(*) OVER (PARTITION BY layer_id) AS total
    FROM (SELECT *, 0 AS is_untagged FROM tagged UNION ALL SELECT *, 1 AS is_untagged FROM untagged)
),
named AS (
    SELECT layer_id,
        MAX(CASE number WHEN 1 THEN image END)
        || COALESCE(', ' || MAX(CASE number WHEN 2 THEN image END), '')
        || COALESCE(', ' || MAX(CASE number WHEN 3 THEN image END), '')
        || CASE WHEN MAX(total) > 3 THEN ' and ' || (MAX(total) - 3) || ' more' ELSE '' END AS images
    FROM image
    WHERE number <= 3
    GROUP BY layer_id
)
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS layer_digest,
    k.size_bytes AS size_bytes,
    b.tag_count AS tag_count,
    n.images AS images,
    s.created_by AS created_by,
    k.manifest_count AS manifest_count
FROM ranked k
CROSS JOIN blob b ON b.id = k.id
LEFT JOIN named n ON n.layer_id = k.id
LEFT JOIN build_step s ON s.id = b.build_step_id
ORDER BY k.rank_key DESC, k.size_bytes DESC, k.id
