-- Ids follow the order by repository and name; BINARY is the order in which names are searched.
SELECT repository_id, name, manifest_id, pushed_ns
FROM tag
ORDER BY repository_id, name
