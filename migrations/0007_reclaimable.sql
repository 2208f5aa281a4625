-- What comes free without dropping a tag, by the hour in which it was last written or linked: what of it may go under a
-- least age is then a short sum, also long after the scan.
CREATE TABLE reclaimable_hour (
    class      TEXT    NOT NULL,    -- orphan: nothing reaches the blob; untagged: only untagged revisions do
    touched_ns INTEGER NOT NULL,    -- the end of that hour; 0: more than a week before the scan
    blob_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (class, touched_ns)
) STRICT, WITHOUT ROWID;
