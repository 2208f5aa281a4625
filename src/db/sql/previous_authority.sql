-- The storage of the last scan, what kept things in it, and the hash over its roots.
SELECT root, COALESCE((SELECT authority FROM authority), 'storage'), (SELECT fingerprint FROM authority)
FROM scan
