-- What the roots of the last scan named or reached, of what was on disk or could not be seen: all of it as `digest_in`
-- reads it. What was unreadable then is as much in use as the rest.
SELECT b.hash, b.other_digest
FROM known_blob k
JOIN blob b ON b.id = k.blob_id
WHERE b.is_present = 1 OR b.id IN (SELECT blob_id FROM unknown_blob)
UNION
-- Of what nothing else names an unreadable place leaves no row.
SELECT r.hash, r.other_digest
FROM root_row r
WHERE r.id NOT IN (SELECT root_id FROM root_blob)
    AND r.kind <> 'manifest-elsewhere'
    AND COALESCE(r.hash, r.other_digest) IS NOT NULL
    AND EXISTS (SELECT 1 FROM total WHERE name = 'unreadable_place_count' AND value > 0)
