-- The blob with an id, if its digest is the one that is looked for.
SELECT b.id
FROM blob b
WHERE b.id = :id AND COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) = :digest
