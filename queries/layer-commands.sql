-- title: Build steps by the bytes they made
-- summary: Which commands in Dockerfiles cost most, summed over the distinct layers that they made
-- param: match glob = * -- only commands that match, such as *apt-get*
-- param: limit limit = 20 -- rows to show
-- column: created_by command -- the build command, from the image configs' history
-- column: size_bytes bytes -- their bytes on disk, each layer once
-- column: layer_count count -- distinct layers that it made
-- column: largest_bytes bytes -- the largest of them
-- total: layer_count size_bytes
--
-- A command that made many layers ran again whenever something before it changed: a COPY that
-- could come later, or a cache that was not kept. Layers without a known command (no history, or
-- squashed images) are left out.
SELECT
    s.created_by AS created_by,
    g.size_bytes AS size_bytes,
    g.layer_count AS layer_count,
    g.largest_bytes AS largest_bytes
FROM (
    SELECT
        build_step_id,
        COUNT(*) AS layer_count,
        SUM(size_bytes) AS size_bytes,
        MAX(size_bytes) AS largest_bytes
    FROM blob
    -- The plus keeps SQLite on the index that has all of these columns.
    WHERE layer_media_type_id IS NOT NULL AND build_step_id IS NOT NULL AND +size_bytes IS NOT NULL
    GROUP BY build_step_id
) g
JOIN build_step s ON s.id = g.build_step_id
WHERE s.created_by GLOB COALESCE(:match, '*')
ORDER BY g.size_bytes DESC, s.created_by
LIMIT COALESCE(:limit, 20)
