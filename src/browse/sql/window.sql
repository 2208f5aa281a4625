SELECT kind, name, repository, tag, digest, exclusive_bytes, logical_bytes, is_at_least, item_count, time_ns, flags, detail
FROM (
{level}
)
WHERE {filter}
ORDER BY {order}
LIMIT :limit OFFSET :offset
