-- title: Tags by what deleting them frees
-- summary: Each tag's age, its logical bytes, and what deleting it alone would free
-- param: repository glob = * -- only tags of repositories whose name matches
-- param: match glob = * -- only tags that match
-- param: order exclusive|logical|pushed|name = exclusive -- the column to order by; `pushed` has the newest first
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: exclusive_bytes bytes -- freed by deleting this tag alone and all that it leaves unreferenced
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: pushed_at time -- when it was last set
-- column: layer_count count -- distinct layers it reaches
-- column: is_broken flag -- it cannot be pulled whole; empty when part of it could not be read
-- column: manifest_digest digest -- what it points at
-- bar: exclusive_bytes
-- selects: tags
--
-- A tag whose exclusive bytes are 0 frees nothing alone: another tag points at the same manifest,
-- or other images hold all of its layers. Two tags on one digest show 0 each, and free all of it
-- together.
WITH chosen AS (
    SELECT t.id, r.name AS repository,
        CASE COALESCE(:order, 'exclusive')
            WHEN 'exclusive' THEN t.exclusive_bytes
            WHEN 'logical' THEN t.logical_bytes
            WHEN 'pushed' THEN t.pushed_ns
        END AS sort_key
    FROM tag t
    JOIN repository r ON r.id = t.repository_id
    WHERE r.name GLOB COALESCE(:repository, '*') AND t.name GLOB COALESCE(:match, '*')
    ORDER BY sort_key DESC, r.name, t.name
    LIMIT COALESCE(:limit, 20)
)
SELECT
    c.repository AS repository,
    t.name AS tag,
    t.exclusive_bytes AS exclusive_bytes,
    t.logical_bytes AS logical_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    t.layer_count AS layer_count,
    CASE t.is_broken WHEN 3 THEN NULL ELSE t.is_broken <> 0 END AS is_broken,
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest
FROM chosen c
JOIN tag t ON t.id = c.id
LEFT JOIN blob b ON b.id = t.manifest_id
ORDER BY c.sort_key DESC, c.repository, t.name
