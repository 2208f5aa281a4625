-- A layer link to a blob that is gone, or that no image needs.
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
    '' AS detail
FROM layer_link k
JOIN repository r ON r.id = k.repository_id
JOIN blob b ON b.id = k.link_blob_id
WHERE k.repository_id = :text AND k.link_blob_id = :blob
