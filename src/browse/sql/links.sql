-- Layer links to blobs that are gone, or that no image needs, of a page.
SELECT
    'link' AS kind,
    r.name || ' ' || substr(COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))), 1, 19) AS name,
    r.name AS repository,
    NULL AS tag,
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest,
    0 AS exclusive_bytes,
    0 AS logical_bytes,
    0 AS is_at_least,
    1 AS item_count,
    k.linked_ns AS time_ns,
    CASE WHEN k.is_needed AND k.is_dangling THEN '!' ELSE '' END AS flags,
    '' AS detail,
    k.link_blob_id AS id,
    k.repository_id AS repository_id
FROM layer_link k
JOIN repository r ON r.id = k.repository_id
JOIN blob b ON b.id = k.link_blob_id
WHERE (k.repository_id, k.link_blob_id) IN (SELECT repository_id, id FROM ({page}))
