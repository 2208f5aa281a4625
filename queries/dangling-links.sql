-- title: Layer links to blobs that are gone
-- summary: Links that make a repository promise a layer which the storage no longer has
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: link_digest digest -- the digest that the link's directory names
-- column: is_needed flag -- an image in this repository needs it, and so cannot be pulled
-- column: linked_at time -- when it was last written
-- selects: layer-links
-- next: regsql report broken-images -- the tags that cannot be pulled
-- next: regsql why DIGEST -- who still names the blob that is gone
--
-- The registry's garbage collector deletes blobs and leaves these. They free no bytes; a push that
-- asks the registry whether it has the layer may be told that it does, and then make an image that
-- cannot be pulled.
SELECT
    r.name AS repository,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS link_digest,
    k.is_needed AS is_needed,
    strftime('%Y-%m-%dT%H:%M:%SZ', k.linked_ns / 1000000000, 'unixepoch') AS linked_at
FROM layer_link k
JOIN repository r ON r.id = k.repository_id
JOIN blob b ON b.id = k.link_blob_id
WHERE k.is_dangling = 1 AND r.name GLOB COALESCE(:repository, '*')
ORDER BY r.name, k.link_blob_id
LIMIT COALESCE(:limit, -1)
