-- Who holds references besides the storage: the evidence that a scan found, and the exports (roots) it was given.

-- One row.
CREATE TABLE authority (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    authority       TEXT    NOT NULL,           -- storage, roots or both: what keeps things
    suspected       TEXT,                       -- the product that the evidence points to; NULL without evidence
    hides_manifests INTEGER NOT NULL,           -- 1: by the evidence no blob can be called garbage
    hides_tags      INTEGER NOT NULL,           -- 1: by the evidence no revision can be called untagged
    roots_count     INTEGER NOT NULL,           -- rows of root
    roots_ns        INTEGER,                    -- the oldest export; NULL without
    fingerprint     BLOB    NOT NULL            -- SHA-256 over the roots and the authority; equal means unchanged
) STRICT;

CREATE TABLE evidence (
    id       INTEGER PRIMARY KEY,
    code     TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    of_count INTEGER NOT NULL,
    example  TEXT    NOT NULL
) STRICT;

-- A file of roots, as it was when the scan read it.
CREATE TABLE root_source (
    id          INTEGER PRIMARY KEY,
    path        TEXT    NOT NULL,               -- absolute, or - for standard input
    form        TEXT    NOT NULL,               -- words, csv, tsv or json
    row_count   INTEGER NOT NULL,
    exported_ns INTEGER NOT NULL                -- the file's mtime; for standard input when it was read
) STRICT;

CREATE TABLE root_repository (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL
) STRICT;

-- One reference that an export holds.
CREATE TABLE root (
    id            INTEGER PRIMARY KEY,
    source_id     INTEGER NOT NULL,
    line          INTEGER NOT NULL,             -- of the file; the item's number in JSON
    kind          TEXT    NOT NULL,             -- manifest, blob, manifest-elsewhere
    repository_id INTEGER,                      -- in root_repository
    tag           TEXT,
    hash          BLOB,                         -- the 32 bytes of a sha256 digest
    other_digest  TEXT,
    size_bytes    INTEGER,
    pushed_ns     INTEGER,
    pulled_ns     INTEGER,
    blob_id       INTEGER,                      -- the blob, where the snapshot knows the digest
    is_found      INTEGER NOT NULL              -- 1: its blob is on disk, or its tag is
) STRICT;

-- Repositories without a `_manifests/tags`: they never had a tag.
CREATE TABLE repository_without_tags (
    repository_id INTEGER PRIMARY KEY
) STRICT;

-- What a tag of the repository pointed at before it was moved.
CREATE TABLE tagged_before (
    repository_id INTEGER NOT NULL,
    blob_id       INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;

-- Blobs that a root names or reaches. Without roots these three are empty.
CREATE TABLE known_blob (
    blob_id INTEGER PRIMARY KEY
) STRICT;

-- Tags that a root names.
CREATE TABLE known_tag (
    tag_id INTEGER PRIMARY KEY
) STRICT;

-- Revisions that a root names, in their repository or without one.
CREATE TABLE root_revision (
    repository_id INTEGER NOT NULL,
    blob_id       INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
