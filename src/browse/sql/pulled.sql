SELECT p.pulled_ns
FROM repository r
JOIN tag t ON t.repository_id = r.id AND t.name = :tag
JOIN tag_pull p ON p.tag_id = t.id
WHERE r.name = :own
