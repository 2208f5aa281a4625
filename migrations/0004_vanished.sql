-- Scans that later ones are compared with, so that what vanished is seen: nothing had vanished in them, or a person
-- accepted what had. The counts are in past_repository.
CREATE TABLE witness (
    scan_number INTEGER PRIMARY KEY,
    reason      TEXT    NOT NULL                -- `scan`, or `accepted`
) STRICT;

-- Repositories from which a deletion of regsql's own is taking something: what is missing of them has not vanished.
-- Its end removes them; what a killed one leaves counts for a day.
CREATE TABLE own_removal (
    repository  TEXT PRIMARY KEY,
    recorded_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- More percent of all tags missing at once than this has vanished.
ALTER TABLE storage ADD COLUMN max_vanished_percent INTEGER;
