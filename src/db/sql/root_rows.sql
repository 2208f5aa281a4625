-- All rows of roots, in their order.
SELECT id, kind, origin, repository_id, tag, hash, other_digest
FROM root_row
ORDER BY id
