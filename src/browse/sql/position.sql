SELECT place - 1
FROM (
    SELECT ROW_NUMBER() OVER (ORDER BY {order}) AS place, kind, repository, tag, digest
    FROM (
{level}
    )
    WHERE {filter}
)
WHERE repository IS :found_repository AND tag IS :found_tag AND (:found_tag IS NOT NULL OR digest IS :found_digest)
LIMIT 1
