-- What rules of retention need beside the snapshot: what tags' names say, and pulls.

-- Tags whose names are neither versions nor plain names; tag.version_key says which of the others are versions.
CREATE TABLE tag_class (
    tag_id         INTEGER PRIMARY KEY,
    class          TEXT NOT NULL,               -- commit: names a commit; referrer: belongs to the image that it names
    subject_id     INTEGER,                     -- referrer: the blob that it names, when anything else names that too
    subject_digest TEXT                         -- referrer: NULL when the name holds a part of the digest only
) STRICT;

-- Pulls, by what was asked for. Carried from snapshot to snapshot: no storage remembers them. They are kept by name and
-- digest, for ids mean nothing in another snapshot.
CREATE TABLE pull (
    repository      TEXT    NOT NULL,
    reference       TEXT    NOT NULL,           -- the tag or digest that the client asked for
    manifest_digest TEXT    NOT NULL,           -- what it got; empty when the source does not say
    first_pulled_ns INTEGER NOT NULL,
    last_pulled_ns  INTEGER NOT NULL,
    pull_count      INTEGER NOT NULL,
    PRIMARY KEY (repository, reference, manifest_digest)
) STRICT, WITHOUT ROWID;

-- Times for which pulls are known, without overlaps.
CREATE TABLE pull_coverage (
    from_ns INTEGER PRIMARY KEY,
    to_ns   INTEGER NOT NULL
) STRICT;

-- Pulls that were counted, by minute, so that a log that is given again counts nothing twice.
CREATE TABLE pull_minute (
    minute INTEGER PRIMARY KEY,                 -- minutes since 1970
    hashes BLOB    NOT NULL                     -- four bytes for each pull, in ascending order
) STRICT;
