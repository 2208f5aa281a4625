-- title: Old entries of tags whose manifests are gone
-- summary: What tags' histories remember of manifests that their repository no longer has
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: history_tag text -- the tag that remembers it
-- column: history_digest digest -- the manifest that it pointed at
-- column: linked_at time -- when the tag was last made to point there
-- selects: tag-history
-- next: regsql prune dead-tag-history -- what would go
--
-- The registry keeps an entry below `tags/*/index` for each digest that a tag has pointed at, and its collector
-- never removes one. An entry whose revision is gone leads nowhere: it costs a directory and a file, and makes listing
-- tags slower. `regsql prune dead-tag-history` moves such entries to the trash.
SELECT
    r.name AS repository,
    t.name AS history_tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS history_digest,
    strftime('%Y-%m-%dT%H:%M:%SZ', e.linked_ns / 1000000000, 'unixepoch') AS linked_at
FROM tag_entry e
JOIN tag t ON t.id = e.tag_id
JOIN repository r ON r.id = t.repository_id
JOIN blob b ON b.id = e.blob_id
WHERE e.is_current = 0
    AND r.is_held = 0
    AND r.name GLOB COALESCE(:repository, '*')
    AND NOT EXISTS (SELECT 1 FROM revision v WHERE v.repository_id = t.repository_id AND v.blob_id = e.blob_id)
ORDER BY r.name, t.name, e.blob_id
LIMIT COALESCE(:limit, -1)
