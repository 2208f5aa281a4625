-- title: Images that others are built on
-- summary: Images whose layers, in order, are the first layers of other images: how many, and how many bytes they share
-- param: repository glob = * -- only base images in repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: repository text -- a repository that holds the base image
-- column: tag text -- its first tag there, in any order; nothing when it has none
-- column: derived_image_count count -- images that begin with all of its layers and have more
-- column: layer_count count -- its layers
-- column: layer_bytes bytes -- the bytes of its layers, which all of them share
-- column: manifest_digest digest -- the base image
-- bar: layer_bytes
-- next: regsql report derived-images -p image=DIGEST -- which images stand on one of them
--
-- Exact: it compares the whole list of layers, in order, and no names or labels. Images with the same
-- layers and another config are not derived from each other. Deleting a base image frees next to nothing
-- while others stand on it.
SELECT
    r.name AS repository,
    (SELECT MIN(t.name) FROM tag t WHERE t.manifest_id = i.manifest_id AND t.repository_id = r.id) AS tag,
    i.derived_image_count AS derived_image_count,
    i.layer_count AS layer_count,
    i.layer_bytes AS layer_bytes,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest
FROM base_image i
JOIN repository r ON r.id = (
    SELECT MIN(v.repository_id)
    FROM revision v
    JOIN repository p ON p.id = v.repository_id
    WHERE v.blob_id = i.manifest_id AND p.name GLOB COALESCE(:repository, '*')
)
JOIN blob b ON b.id = i.manifest_id
ORDER BY i.derived_image_count DESC, i.layer_bytes DESC, i.manifest_id
LIMIT COALESCE(:limit, 20)
