-- Tags of the last snapshot, in their order.
SELECT t.id, r.name, t.name
FROM tag t
JOIN repository r ON r.id = t.repository_id
ORDER BY t.id
