-- The first rows by size.
SELECT * FROM (
{entries}
) ORDER BY {order} LIMIT :limit
