-- title: Repositories with nothing left in them
-- summary: Repositories without a tag or a revision, which the registry's catalogue still lists
-- param: limit limit = all -- rows to show
-- column: repository text -- the repository
-- column: layer_link_count count -- layer links left in it
-- column: upload_count count -- uploads begun and not finished
-- total: layer_link_count upload_count
-- selects: repositories
--
-- Left behind when the last tag was deleted, or by a first push that never completed. One with an
-- upload may be receiving its first image now. A repository of which a part cannot be read is
-- never called a ghost.
SELECT
    name AS repository,
    layer_link_count,
    upload_count
FROM repository
WHERE tag_count = 0 AND revision_count = 0 AND is_held = 0
ORDER BY name
LIMIT COALESCE(:limit, -1)
