-- The version of the tables that a scan filled. A migration adds tables which an older scan has not filled: what is
-- read from these is then not what was on disk.
CREATE TABLE scan_schema (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
