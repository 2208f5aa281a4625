-- title: Build steps by the bytes they made
-- summary: Which commands in Dockerfiles cost most, summed over the distinct layers that they made
-- param: match glob = * -- only commands that match, such as *apt-get*
-- param: limit limit = 20 -- rows to show
-- column: created_by command -- the build command, from the image configs' history
-- column: size_bytes bytes -- their bytes on disk, each layer once
-- column: layer_count count -- distinct layers that it made
-- column: largest_bytes bytes -- the largest of them
-- bar: size_bytes
-- total: layer_count size_bytes
--
-- A command that made many layers ran again whenever something before it changed: a COPY that
-- could come later, or a cache that was not kept. Layers without a known command (no history, or
-- squashed images) are left out.
SELECT
    created_by AS created_by,
    layer_bytes AS size_bytes,
    layer_count AS layer_count,
    largest_bytes AS largest_bytes
FROM build_step
WHERE layer_count > 0 AND created_by GLOB COALESCE(:match, '*')
ORDER BY layer_bytes DESC, created_by
LIMIT COALESCE(:limit, 20)
