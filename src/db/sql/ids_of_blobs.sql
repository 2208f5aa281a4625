-- Digests of the last snapshot, in their order.
SELECT id, hash, other_digest FROM blob ORDER BY id
