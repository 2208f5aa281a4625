-- Links of a digest in every repository: a look-up for each repository is quicker than a pass over all links.
SELECT
    r.id,
    r.name AS repository,
    k.blob_id,
    k.is_dangling,
    strftime('%Y-%m-%dT%H:%M:%SZ', k.linked_ns / 1000000000, 'unixepoch') AS linked_at
FROM repository r
CROSS JOIN layer_link k ON k.repository_id = r.id AND k.link_blob_id = :name
WHERE k.blob_id = :blob OR k.link_blob_id = :blob
ORDER BY r.id
