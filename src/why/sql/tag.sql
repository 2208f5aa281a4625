-- One tag.
SELECT
    t.id,
    r.id AS repository_id,
    t.manifest_id,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at,
    t.logical_bytes,
    t.exclusive_bytes,
    t.layer_count,
    t.is_broken IN (1, 2) AS is_broken
FROM repository r
CROSS JOIN tag t ON t.repository_id = r.id
WHERE r.name = :repository AND t.name = :tag
