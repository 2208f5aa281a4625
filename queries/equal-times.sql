-- title: Repositories whose push times say nothing about order
-- summary: Repositories in which most images have the same push time: they were copied or restored
-- param: order version|pushed|created|pulled = pushed -- the rule's order; a version needs no times
-- param: repository glob = * -- only repositories whose name matches
-- column: repository text -- the repository; nothing when it is about all
-- column: image_count count -- its images
-- column: ranked_by text -- what rules of retention rank by instead; `nothing`: they leave the repository alone
-- column: notice text -- the same in words
--
-- A copy (`cp -r`, a sync from another registry, a restored backup) gives every tag the time of the copy.
-- Rules that go by push times then use the creation times in the images' configs. Where most of those
-- are equal too, as reproducible builds make them, nothing of the repository is named.
SELECT
    r.name AS repository,
    t.image_count AS image_count,
    CASE WHEN t.has_equal_creations THEN 'nothing' ELSE 'created' END AS ranked_by,
    r.name || ': most '
        || CASE WHEN t.has_equal_pushes AND COALESCE(:order, 'pushed') <> 'created' THEN 'push times' ELSE 'creation times' END
        || ' are equal; '
        || CASE WHEN t.has_equal_creations THEN 'nothing of it is named' ELSE 'its images are ranked by creation time' END AS notice
FROM image_order t
JOIN repository r ON r.id = t.repository_id
WHERE r.name GLOB COALESCE(:repository, '*')
    AND CASE COALESCE(:order, 'pushed')
        WHEN 'pushed' THEN t.has_equal_pushes
        WHEN 'created' THEN t.has_equal_creations
        ELSE 0
    END
UNION ALL
SELECT NULL, NULL, 'nothing', 'pulls are not known: read them with `regsql pulls import`; nothing is named'
WHERE COALESCE(:order, 'pushed') = 'pulled'
    AND NOT EXISTS (SELECT 1 FROM pull_coverage)
    AND NOT EXISTS (SELECT 1 FROM root_pull)
ORDER BY 1
