SELECT COUNT(*), COALESCE(MAX({measure}), 0)
FROM (
{level}
)
WHERE {filter}
