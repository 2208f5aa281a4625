-- title: Garbage of each registry
-- summary: What comes free in each registry without dropping a tag, by class
-- column: registry text -- the registry
-- column: finished_at time -- when its newest scan ended
-- column: blob_bytes bytes -- all blobs on disk
-- column: orphan_count count -- orphan blobs
-- column: orphan_bytes bytes -- their bytes
-- column: untagged_bytes bytes -- freed by deleting all untagged revisions
-- column: upload_bytes bytes -- uploads without a sign of life for 7 days
-- column: kept_bytes bytes -- blobs that no repository reaches and that stay all the same: something could not be read, or somebody outside refers to them
--
-- Engines report; `regsql prune` deletes, since it reads the storage again before: what was pushed since the
-- scan, what cannot be read and what somebody outside refers to is not in a file of yesterday.
WITH latest AS (
    SELECT registry, MAX(scan) AS scan FROM scan_info GROUP BY registry
),
class AS (
    SELECT
        c.registry AS registry,
        SUM(CASE WHEN c.class = 'orphan blobs' THEN c.item_count ELSE 0 END) AS orphan_count,
        SUM(CASE WHEN c.class = 'orphan blobs' THEN c.size_bytes ELSE 0 END) AS orphan_bytes,
        SUM(CASE WHEN c.class = 'untagged revisions' THEN c.size_bytes ELSE 0 END) AS untagged_bytes,
        SUM(CASE WHEN c.class = 'stale uploads' THEN c.size_bytes ELSE 0 END) AS upload_bytes
    FROM reclaimable c
    JOIN latest t ON t.registry = c.registry AND t.scan = c.scan
    GROUP BY c.registry
),
blob AS (
    SELECT
        b.registry AS registry,
        SUM(b.size_bytes) AS blob_bytes,
        SUM(CASE WHEN b.repository_count = 0 AND NOT b.is_orphan THEN b.size_bytes ELSE 0 END) AS kept_bytes
    FROM blobs b
    JOIN latest t ON t.registry = b.registry AND t.scan = b.scan
    WHERE b.size_bytes IS NOT NULL
    GROUP BY b.registry
)
SELECT
    i.registry AS registry,
    i.finished_at AS finished_at,
    COALESCE(b.blob_bytes, 0) AS blob_bytes,
    c.orphan_count AS orphan_count,
    c.orphan_bytes AS orphan_bytes,
    c.untagged_bytes AS untagged_bytes,
    c.upload_bytes AS upload_bytes,
    COALESCE(b.kept_bytes, 0) AS kept_bytes
FROM scan_info i
JOIN latest t ON t.registry = i.registry AND t.scan = i.scan
JOIN class c ON c.registry = i.registry
LEFT JOIN blob b ON b.registry = i.registry
ORDER BY orphan_bytes DESC, registry
