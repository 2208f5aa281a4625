-- title: What roots name and the storage lacks
-- summary: Rows of exports given with scan --roots whose blob or tag is not on disk: pulls of those fail
-- param: limit limit = all -- rows to show
-- column: digest digest -- what is named, where a digest is
-- column: repository text -- the repository, as the export says
-- column: tag text -- the tag, as the export says
-- column: source text -- the file
-- column: line count -- its line, or the item's number in JSON
--
-- No row without roots. Manifests that are in a database alone (`manifest-elsewhere`) are not expected on disk. A
-- repository that was deleted since the export was written is here, too.
SELECT
    COALESCE(o.other_digest, 'sha256:' || NULLIF(lower(hex(o.hash)), '')) AS digest,
    n.name AS repository,
    o.tag AS tag,
    s.path AS source,
    o.line AS line
FROM root_row o
JOIN root_source s ON s.id = o.source_id
LEFT JOIN root_repository n ON n.id = o.repository_id
WHERE NOT EXISTS (SELECT 1 FROM root_blob b WHERE b.root_id = o.id AND b.is_found)
    AND o.kind <> 'manifest-elsewhere'
    AND (o.hash IS NOT NULL OR o.other_digest IS NOT NULL OR o.tag IS NOT NULL)
ORDER BY o.id
LIMIT COALESCE(:limit, -1)
