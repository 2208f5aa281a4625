-- What each repository had when a scan last saw it whole, and nothing in it had vanished: later scans are compared
-- with this. A scan that could not read a place leaves the rows of what lies there as they were.
CREATE TABLE seen_repository (
    root           TEXT    NOT NULL,            -- of the storage, as in scan
    repository     TEXT    NOT NULL,
    tag_count      INTEGER NOT NULL,
    revision_count INTEGER NOT NULL,
    PRIMARY KEY (root, repository)
) STRICT, WITHOUT ROWID;

-- A file of before witnesses were kept has none: its last whole scan is one.
INSERT OR REPLACE INTO seen_repository
SELECT last.root, r.name, r.tag_count, r.revision_count
FROM (
    SELECT root, MAX(scan_number) AS scan_number FROM past_scan
    WHERE scan_number IN (SELECT scan_number FROM witness)
        OR is_complete AND NOT EXISTS (SELECT 1 FROM witness)
    GROUP BY root
) last
JOIN past_repository r ON last.scan_number BETWEEN r.first_scan AND r.last_scan;

-- What a deletion of regsql's own leaves of the repositories from which it is taking something: what is missing
-- beyond that has vanished. Its end removes the rows; what a killed one leaves counts for a day.
CREATE TABLE own_deletion (
    repository     TEXT PRIMARY KEY,
    recorded_ns    INTEGER NOT NULL,
    tag_count      INTEGER NOT NULL,
    revision_count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP TABLE own_removal;
