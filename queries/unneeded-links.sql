-- title: Layer links that no image needs
-- summary: Links left by images that were deleted: the repository may still serve a blob that nothing in it names
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: link_digest digest -- the digest that the link's directory names
-- column: blob_digest digest -- the blob that the link resolves to
-- column: linked_at time -- when it was last written
-- selects: layer-links
--
-- Harmless, and there may be a great many of them: they slow down every walk of the storage. They
-- keep no blob alive. Links to blobs that are gone are in `dangling-links`.
SELECT
    r.name AS repository,
    COALESCE(l.other_digest, 'sha256:' || lower(hex(l.hash))) AS link_digest,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS blob_digest,
    strftime('%Y-%m-%dT%H:%M:%SZ', k.linked_ns / 1000000000, 'unixepoch') AS linked_at
FROM layer_link k
JOIN repository r ON r.id = k.repository_id
JOIN blob l ON l.id = k.link_blob_id
JOIN blob b ON b.id = k.blob_id
WHERE k.is_needed = 0 AND k.is_dangling = 0 AND r.name GLOB COALESCE(:repository, '*')
ORDER BY r.name, k.link_blob_id
LIMIT COALESCE(:limit, -1)
