-- title: Who else may hold references
-- summary: The evidence that something outside of the storage holds references to it: tags or manifests in a database
-- column: evidence text -- its kind, a stable name
-- column: count count -- how many things show it
-- column: of count -- of how many
-- column: example text -- one of them: a repository, digest or path
-- column: meaning text -- what it says
--
-- No row: nothing points to anybody else, and the storage is taken for the whole truth. GitLab with its metadata
-- database, Harbor and OpenShift keep tags or manifests in a database and only blobs in the storage: what looks
-- like garbage there may be in use. While there is evidence, `prune` refuses what only that database can judge.
-- Give the database's export to `scan --roots`, or say with `prune --trust-storage` that nothing else holds
-- references. `repositories-without-tags-directory` alone keeps only the untagged revisions of those
-- repositories. [docs/roots.md](roots.md) has the thresholds and the exports.
SELECT
    code AS evidence,
    count AS count,
    of_count AS of,
    example AS example,
    CASE code
        WHEN 'gitlab-lock-file' THEN 'GitLab''s metadata database is on: manifests and tags are in it'
        WHEN 'orphan-configs' THEN 'image configs that no manifest on disk names: manifests are elsewhere'
        WHEN 'no-tags' THEN 'no tag in the whole storage: tags are elsewhere'
        WHEN 'repositories-without-tags-directory' THEN 'repositories that never had a tag'
        WHEN 'never-tagged' THEN 'top-level revisions that no tag leads or led to: tags are elsewhere since some day'
        WHEN 'harbor-repository' THEN 'Harbor keeps exports here'
        WHEN 'harbor-directories' THEN 'directories of a Harbor installation beside the storage'
    END AS meaning
FROM evidence
ORDER BY id
