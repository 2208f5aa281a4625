-- title: Images that hold a layer
-- summary: Every tag and untagged revision that reaches a layer, or any other blob
-- param: digest digest -- the layer's digest, or the beginning of one
-- column: repository text -- the repository
-- column: tag text -- the tag; empty for an untagged revision
-- column: exclusive_bytes bytes -- freed by deleting this tag or revision alone
-- column: pushed_at time -- when the tag was last set, or the revision pushed
-- column: manifest_digest digest -- what the tag points at, or the revision
-- column: layer_digest digest -- the layer
-- column: size_bytes bytes -- its bytes on disk
-- next: regsql why DIGEST --all -- each path from the layer to a tag
--
-- Goes through indexes of any depth: a tag on a multi-platform index holds the layers of all its
-- platforms. When the beginning of a digest fits several blobs, the first fifty are shown.
WITH RECURSIVE
-- Ids follow the order of digests, with gaps, so the first that fits is found by halving.
search (low, high) AS (
    SELECT (SELECT MIN(id) FROM blob), (SELECT MAX(id) + 1 FROM blob)
    UNION ALL
    SELECT
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (:digest NOT LIKE 'sha256:%', :digest) THEN b.id + 1 ELSE s.low END,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (:digest NOT LIKE 'sha256:%', :digest) THEN s.high ELSE (s.low + s.high) / 2 END
    FROM search s
    CROSS JOIN blob b ON b.id = (SELECT MIN(id) FROM blob WHERE id >= (s.low + s.high) / 2)
    WHERE s.low < s.high
),
wanted AS (
    SELECT b.id, b.size_bytes, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest
    FROM search s
    CROSS JOIN blob b ON b.id IN (SELECT id FROM blob WHERE id >= s.low ORDER BY id LIMIT 50)
    WHERE s.low = s.high
        AND substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, length(:digest)) = :digest
),
-- A condition on one table alone would make SQLite read all of it first, for a Bloom filter.
holder (layer_id, manifest_id) AS (
    SELECT w.id, w.id FROM wanted w JOIN manifest m ON m.blob_id = w.id
    UNION
    SELECT w.id, n.manifest_id
    FROM wanted w
    CROSS JOIN referenced_by n ON n.blob_id = w.id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE CASE WHEN n.position >= 0 THEN f.role <> 'subject' END
    UNION
    SELECT h.layer_id, n.manifest_id
    FROM holder h
    CROSS JOIN referenced_by n ON n.blob_id = h.manifest_id
    JOIN reference f ON f.manifest_id = n.manifest_id AND f.position = n.position
    WHERE CASE WHEN n.position >= 0 THEN f.role <> 'subject' END
),
image AS (
    SELECT h.layer_id, t.repository_id, t.name AS tag, h.manifest_id, t.pushed_ns, t.exclusive_bytes
    FROM holder h
    CROSS JOIN tag t ON t.manifest_id = h.manifest_id
    UNION ALL
    SELECT h.layer_id, v.repository_id, NULL, h.manifest_id, v.pushed_ns, v.exclusive_bytes
    FROM holder h
    CROSS JOIN revision v ON v.blob_id = h.manifest_id
    WHERE CASE WHEN h.manifest_id >= 0 THEN v.is_tagged = 0 END
)
SELECT
    r.name AS repository,
    i.tag AS tag,
    i.exclusive_bytes AS exclusive_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', i.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest,
    w.digest AS layer_digest,
    w.size_bytes AS size_bytes
FROM wanted w
JOIN image i ON i.layer_id = w.id
JOIN repository r ON r.id = i.repository_id
JOIN blob b ON b.id = i.manifest_id
ORDER BY w.id, r.name, i.tag IS NULL, i.tag, i.manifest_id
