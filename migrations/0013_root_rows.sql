-- Rows of exports as they were read, and apart from them what they name in this snapshot: millions of rows are written
-- while the storage is walked, before anything of it is known, and most of them name the same thing at the next scan.
CREATE TABLE root_row (
    id            INTEGER PRIMARY KEY,
    source_id     INTEGER NOT NULL,
    line          INTEGER NOT NULL,             -- of the file; the item's number in JSON
    kind          TEXT    NOT NULL,             -- manifest, blob, manifest-elsewhere
    origin        INTEGER NOT NULL,             -- of OpenShift's objects: 1 an Image, 2 an ImageStream; else 0
    repository_id INTEGER,                      -- in root_repository
    tag           TEXT,
    hash          BLOB,                         -- the 32 bytes of a sha256 digest
    other_digest  TEXT,
    size_bytes    INTEGER,
    pushed_ns     INTEGER,
    pulled_ns     INTEGER
) STRICT;

-- Rows whose blob, or whose tag's, the snapshot knows.
CREATE TABLE root_blob (
    root_id  INTEGER PRIMARY KEY,
    blob_id  INTEGER NOT NULL,
    is_found INTEGER NOT NULL                   -- 1: the blob is on disk, or the tag is
) STRICT;

INSERT INTO root_row
SELECT id, source_id, line, kind, 0, repository_id, tag, hash, other_digest, size_bytes, pushed_ns, pulled_ns
FROM root;

INSERT INTO root_blob
SELECT id, blob_id, is_found FROM root WHERE blob_id IS NOT NULL;

ALTER TABLE root_source ADD COLUMN has_blobs INTEGER NOT NULL DEFAULT 0;               -- 1: a row is no `manifest`
ALTER TABLE root_source ADD COLUMN has_manifests_elsewhere INTEGER NOT NULL DEFAULT 0; -- 1: a row is `manifest-elsewhere`
ALTER TABLE root_source ADD COLUMN has_pulls INTEGER NOT NULL DEFAULT 0;               -- 1: a row says when something was pulled
ALTER TABLE root_source ADD COLUMN has_streams INTEGER NOT NULL DEFAULT 0;             -- 1: it has image streams of OpenShift

UPDATE root_source SET
    has_blobs = EXISTS (SELECT 1 FROM root WHERE source_id = root_source.id AND kind <> 'manifest'),
    has_manifests_elsewhere = EXISTS (SELECT 1 FROM root WHERE source_id = root_source.id AND kind = 'manifest-elsewhere'),
    has_pulls = EXISTS (SELECT 1 FROM root WHERE source_id = root_source.id AND pulled_ns IS NOT NULL);

DROP TABLE root;
