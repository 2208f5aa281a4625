-- title: What this registry holds, and what would come free
-- summary: The storage at a glance: bytes by kind, waste by class, the largest repositories
-- group: section
-- column: section text -- what the figure belongs to
-- column: figure text -- what is counted
-- column: count count -- how many
-- column: bytes bytes -- their bytes; for waste what deleting the whole class frees, for repositories the exclusive bytes
-- column: report text -- the report that tells more
-- next: regsql report rare-layers -- large layers that few images need: where to win space
-- next: regsql report keep-latest -p keep=5 -- the tags to drop if each repository kept its newest 5
-- next: regsql report untagged-revisions -- what overwritten tags left behind
--
-- The figures under *comes free* overlap: an untagged revision may keep a blob that would be an
-- orphan without it, so the line *these two together* is what deleting both classes
-- frees, and may be more than their sum. Unfinished uploads count whatever their age; the report
-- `stale-uploads` knows which are old. The bytes of a repository are its exclusive ones: what
-- deleting it would free.
WITH line (position, section, figure, count_name, bytes_name, report) AS (
    VALUES
        (1, 'storage', 'blobs', 'blob_count', 'blob_bytes', 'media-types'),
        (2, 'storage', 'layers', 'layer_count', 'layer_bytes', 'largest-layers'),
        (3, 'storage', 'manifests', 'manifest_count', 'manifest_bytes', 'platforms'),
        (4, 'storage', 'indexes', 'index_count', 'index_bytes', 'platforms'),
        (5, 'storage', 'configs', 'config_count', 'config_bytes', NULL),
        (6, 'storage', 'of unknown kind', 'unknown_count', 'unknown_bytes', 'orphan-blobs'),
        (11, 'contents', 'repositories', 'repository_count', NULL, 'repositories'),
        (12, 'contents', 'tags', 'tag_count', NULL, 'tags'),
        (13, 'contents', 'revisions', 'revision_count', NULL, NULL),
        (21, 'comes free', 'untagged revisions', 'untagged_revision_count', 'untagged_bytes', 'untagged-revisions'),
        (22, 'comes free', 'orphan blobs', 'orphan_blob_count', 'orphan_bytes', 'orphan-blobs'),
        (23, 'comes free', 'these two together', NULL, 'untagged_and_orphan_bytes', NULL),
        (24, 'comes free', 'unfinished uploads', 'upload_count', 'upload_bytes', 'stale-uploads'),
        (25, 'comes free', 'dangling layer links', 'dangling_link_count', NULL, 'dangling-links'),
        (26, 'comes free', 'unneeded layer links', 'unneeded_link_count', NULL, 'unneeded-links'),
        (27, 'comes free', 'ghost repositories', 'ghost_repository_count', NULL, 'ghost-repositories'),
        (31, 'look at', 'tags that cannot be pulled', 'broken_tag_count', NULL, 'broken-images'),
        (32, 'look at', 'problems', 'problem_count', NULL, 'problems')
),
figures AS (
    SELECT
        line.position AS position,
        line.section AS section,
        line.figure AS figure,
        c.value AS count,
        b.value AS bytes,
        line.report AS report
    FROM line
    LEFT JOIN total c ON c.name = line.count_name
    LEFT JOIN total b ON b.name = line.bytes_name
),
largest AS (
    SELECT
        40 + ROW_NUMBER() OVER (ORDER BY exclusive_bytes DESC, name) AS position,
        'repositories' AS section,
        name AS figure,
        tag_count AS count,
        exclusive_bytes AS bytes,
        'tags' AS report
    FROM (SELECT name, tag_count, exclusive_bytes FROM repository ORDER BY exclusive_bytes DESC, name LIMIT 5)
)
SELECT section, figure, count, bytes, report
FROM (
    SELECT * FROM figures
    -- A class of which there is nothing needs no line on a screen that is short.
    WHERE position IN (1, 2, 11, 12, 21, 22) OR count > 0 OR (count IS NULL AND bytes > 0)
    UNION ALL
    SELECT * FROM largest
)
ORDER BY position
