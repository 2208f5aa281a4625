-- The first blob whose digest is not below one, as ids follow the order of digests, with gaps: found by halving.
WITH RECURSIVE search (low, high) AS (
    SELECT (SELECT MIN(id) FROM blob), (SELECT MAX(id) + 1 FROM blob)
    UNION ALL
    SELECT
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (:digest NOT LIKE 'sha256:%', :digest) THEN b.id + 1 ELSE s.low END,
        CASE WHEN (b.hash IS NULL, COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))))
            < (:digest NOT LIKE 'sha256:%', :digest) THEN s.high ELSE (s.low + s.high) / 2 END
    FROM search s
    CROSS JOIN blob b ON b.id = (SELECT MIN(id) FROM blob WHERE id >= (s.low + s.high) / 2)
    WHERE s.low < s.high
)
SELECT COALESCE((SELECT MIN(id) FROM blob WHERE id >= s.low), s.low)
FROM search s
WHERE s.low = s.high
