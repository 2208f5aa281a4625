-- title: Repositories by what deleting them frees
-- summary: Each repository's tags and revisions, and its logical, exclusive and shared bytes
-- param: order exclusive|logical|untagged|tags|pushed|name = exclusive -- the column to order by
-- param: repository glob = * -- only repositories whose name matches
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository
-- column: exclusive_bytes bytes -- of those, reached by no other repository: what deleting it frees
-- column: logical_bytes bytes -- distinct present blobs it reaches
-- column: untagged_bytes bytes -- freed by deleting its untagged revisions
-- column: tag_count count -- its tags
-- column: last_pushed_at time -- the newest revision or tag link
-- column: revision_count count -- manifests linked in it
-- column: untagged_revision_count count -- of those, the ones no tag leads to
-- bar: exclusive_bytes
-- total: tag_count revision_count untagged_revision_count
-- selects: repositories
-- next: regsql report tags -p repository=NAME -- the tags of one
--
-- There is no total of the bytes: a layer that two repositories share is in the logical bytes of
-- both, and in the exclusive bytes of neither. `regsql report overview` has the true sums.
SELECT
    name AS repository,
    exclusive_bytes,
    logical_bytes,
    untagged_bytes,
    tag_count,
    strftime('%Y-%m-%dT%H:%M:%SZ', last_pushed_ns / 1000000000, 'unixepoch') AS last_pushed_at,
    revision_count,
    untagged_revision_count
FROM repository
WHERE name GLOB COALESCE(:repository, '*')
ORDER BY
    CASE COALESCE(:order, 'exclusive')
        WHEN 'exclusive' THEN exclusive_bytes
        WHEN 'logical' THEN logical_bytes
        WHEN 'untagged' THEN untagged_bytes
        WHEN 'tags' THEN tag_count
        WHEN 'pushed' THEN last_pushed_ns
    END DESC,
    name
LIMIT COALESCE(:limit, 20)
