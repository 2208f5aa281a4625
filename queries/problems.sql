-- title: Problems on disk
-- summary: Every problem that was found, errors first
-- param: severity glob = * -- error, warning or info
-- param: code glob = * -- only codes that match
-- param: repository glob = * -- only in repositories whose name matches
-- param: limit limit = 50 -- rows to show
-- column: severity text -- error: an image is broken or nothing near it may be deleted; warning: look at it; info: harmless
-- column: code text -- a stable name; docs/findings.md says what each means
-- column: repository text -- the repository it is in, if it is in one
-- column: detail text -- what was found
-- column: path text -- where, below the registry's root directory
-- column: digest digest -- the digest it is about, if it is about one
--
-- What cannot be read is a root: everything it might hold is kept, and never called garbage. So an
-- error here may be why less comes free than expected. `SELECT * FROM unreadable_roots` names what
-- is kept for that reason.
SELECT severity, code, repository, detail, path, digest
FROM problem
WHERE severity GLOB COALESCE(:severity, '*')
    AND code GLOB COALESCE(:code, '*')
    AND COALESCE(repository, '') GLOB COALESCE(:repository, '*')
ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, code, path, digest, id
LIMIT COALESCE(:limit, 50)
