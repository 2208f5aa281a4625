-- The private tables behind the public views (views.sql). Nothing outside regsql may name them.
--
-- One file holds one snapshot plus the history of past scans. A snapshot is loaded once, in key order, into a new
-- file, or compared with a copy of the last one in which what differs is written; either then replaces the old file.
-- There is no index that is not read by a view or report.
-- Ids follow an order, with gaps: blobs by digest, repositories by name, tags by (repository, name). They may mean
-- nothing in another snapshot; join snapshots on digests and names. Times are nanoseconds since 1970 UTC (`_ns`).

-- One row: the scan that made this snapshot.
CREATE TABLE scan (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    scan_number     INTEGER NOT NULL,           -- the row of past_scan that is this scan
    root            TEXT    NOT NULL,
    started_ns      INTEGER NOT NULL,
    finished_ns     INTEGER NOT NULL,
    duration_ms     INTEGER NOT NULL,
    tool_version    TEXT    NOT NULL,
    is_complete     INTEGER NOT NULL,           -- 0: something could not be read, every figure is "at least"
    fingerprint     BLOB    NOT NULL,           -- SHA-256 over all names, sizes and times seen; equal means unchanged
    is_deep         INTEGER NOT NULL,           -- 1: also looked for what lies beside each blob and link
    is_pull_through INTEGER NOT NULL            -- 1: a pull-through cache (scheduler-state.json), missing blobs are normal
) STRICT;

-- Figures about the whole storage that would need a full pass in SQL.
CREATE TABLE total (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE media_type (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- Build commands behind layers (`history[].created_by` of image configs), each text once, with the present layers that
-- it is the first to be named for (layer-commands).
CREATE TABLE build_step (
    id            INTEGER PRIMARY KEY,
    created_by    TEXT    NOT NULL,
    layer_count   INTEGER NOT NULL,
    layer_bytes   INTEGER NOT NULL,
    largest_bytes INTEGER NOT NULL
) STRICT;

-- Every digest that is present as a blob or named by a link or a manifest.
CREATE TABLE blob (
    id                  INTEGER PRIMARY KEY,    -- in the order of digests
    hash                BLOB,                   -- the 32 bytes of a sha256 digest
    other_digest        TEXT,                   -- the whole digest when its algorithm is not sha256
    is_present          INTEGER NOT NULL,
    is_orphan           INTEGER NOT NULL,       -- present, and nothing that is kept reaches it
    kind                TEXT    NOT NULL,       -- layer, config, manifest, index, unknown
    size_bytes          INTEGER,                -- size of `data`; NULL when absent
    modified_ns         INTEGER,                -- mtime of `data`
    changed_ns          INTEGER,                -- ctime of `data`
    layer_media_type_id INTEGER,                -- set for every blob that a manifest names as a layer
    build_step_id       INTEGER,
    manifest_count      INTEGER NOT NULL,       -- manifests (not orphan) that name it
    repository_count    INTEGER NOT NULL,       -- repositories that reach it
    tag_count           INTEGER NOT NULL,       -- tags that reach it
    only_repository_id  INTEGER,                -- the one repository without which it would come free
    only_tag_id         INTEGER,                -- the one tag without which it would come free
    verified_ns         INTEGER,                -- when its content was last hashed and found right
    may_be_manifest     INTEGER NOT NULL        -- a manifest, or begins like one: what an unlisted revision may lead to
) STRICT;

-- Every blob that is, or by a link ought to be, a manifest.
CREATE TABLE manifest (
    blob_id          INTEGER PRIMARY KEY,
    kind             TEXT    NOT NULL,          -- image, index, artifact, schema1, unknown
    is_readable      INTEGER NOT NULL,          -- 0: absent or not parseable; what it refers to is unknown
    is_orphan        INTEGER NOT NULL,          -- no revision, tag or index leads to it
    media_type_id    INTEGER,
    artifact_type_id INTEGER,                   -- in media_type
    config_blob_id   INTEGER,
    subject_blob_id  INTEGER,
    layer_count      INTEGER NOT NULL,
    logical_bytes    INTEGER NOT NULL,
    os               TEXT,
    architecture     TEXT,
    variant          TEXT,
    created_ns       INTEGER
) STRICT;

-- What a manifest names, in the order of its body.
CREATE TABLE reference (
    manifest_id    INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    role           TEXT    NOT NULL,            -- config, layer, manifest, subject, blob
    blob_id        INTEGER NOT NULL,
    declared_bytes INTEGER,
    media_type_id  INTEGER,
    platform       TEXT,
    build_step_id  INTEGER,                     -- the command that made the layer
    is_external    INTEGER NOT NULL,            -- a foreign layer: the manifest gives urls, the registry need not hold it
    PRIMARY KEY (manifest_id, position)
) STRICT, WITHOUT ROWID;

-- `reference` the other way round: who names this blob (layer-images, rare-layers, why). A presorted table is loaded
-- four times faster than an index on `reference` is built.
CREATE TABLE referenced_by (
    blob_id     INTEGER NOT NULL,
    manifest_id INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (blob_id, manifest_id, position)
) STRICT, WITHOUT ROWID;

-- A digest that the registry resolves to another blob through a layer link (sha512 and tarsum links).
CREATE TABLE alias (
    blob_id        INTEGER NOT NULL,
    target_blob_id INTEGER NOT NULL,
    PRIMARY KEY (blob_id, target_blob_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE repository (
    id                      INTEGER PRIMARY KEY,
    name                    TEXT    NOT NULL,   -- bytes that are not UTF-8 are written \xHH
    tag_count               INTEGER NOT NULL,
    revision_count          INTEGER NOT NULL,
    untagged_revision_count INTEGER NOT NULL,
    layer_link_count        INTEGER NOT NULL,
    upload_count            INTEGER NOT NULL,
    logical_bytes           INTEGER NOT NULL,
    exclusive_bytes         INTEGER NOT NULL,
    untagged_bytes          INTEGER NOT NULL,
    last_pushed_ns          INTEGER,
    is_held                 INTEGER NOT NULL,   -- 1: something in it cannot be read, so nothing in it is garbage
    is_trusted              INTEGER NOT NULL,   -- 1: every link said what its directory name says
    fingerprint             BLOB    NOT NULL
) STRICT;

-- A manifest linked in a repository.
CREATE TABLE revision (
    repository_id   INTEGER NOT NULL,
    blob_id         INTEGER NOT NULL,
    is_tagged       INTEGER NOT NULL,
    is_held         INTEGER NOT NULL,           -- 1: not tagged, and kept all the same because something cannot be read
    pushed_ns       INTEGER,
    logical_bytes   INTEGER NOT NULL,
    exclusive_bytes INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    id              INTEGER PRIMARY KEY,
    repository_id   INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    manifest_id     INTEGER,                    -- NULL when the tag's link cannot be read or is missing
    pushed_ns       INTEGER,
    logical_bytes   INTEGER NOT NULL,
    exclusive_bytes INTEGER NOT NULL,
    layer_count     INTEGER NOT NULL,
    is_broken       INTEGER NOT NULL,           -- 1: something is missing; 2: see mark_broken_tags.sql
    version_key     TEXT
) STRICT;

-- Every digest a tag has pointed at, as far as its `index/` directory remembers.
CREATE TABLE tag_entry (
    tag_id     INTEGER NOT NULL,
    blob_id    INTEGER NOT NULL,
    is_current INTEGER NOT NULL,
    linked_ns  INTEGER,
    PRIMARY KEY (tag_id, blob_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE layer_link (
    repository_id INTEGER NOT NULL,
    link_blob_id  INTEGER NOT NULL,             -- the digest that the directory names
    blob_id       INTEGER NOT NULL,             -- the digest that the link resolves to
    linked_ns     INTEGER,
    is_dangling   INTEGER NOT NULL,             -- the blob is gone
    is_needed     INTEGER NOT NULL,             -- something kept in this repository reaches the blob
    PRIMARY KEY (repository_id, link_blob_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
    repository_id INTEGER NOT NULL,
    upload_id     TEXT    NOT NULL,
    size_bytes    INTEGER NOT NULL,
    started_ns    INTEGER,                      -- NULL: `startedat` is missing or cannot be read
    active_ns     INTEGER,
    PRIMARY KEY (repository_id, upload_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE problem (
    id         INTEGER PRIMARY KEY,
    code       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    repository TEXT,
    digest     TEXT,
    path       TEXT NOT NULL,                   -- below scan.root
    detail     TEXT NOT NULL
) STRICT;

-- What is kept because something cannot be read. scope: `storage` keeps every blob, `manifests` every blob that is
-- a manifest or begins like one, and all that the repository links, `repository` all that the repository links, `blob` one blob with
-- all it names.
CREATE TABLE unreadable_root (
    id            INTEGER PRIMARY KEY,
    scope         TEXT NOT NULL,
    repository_id INTEGER,
    blob_id       INTEGER,
    code          TEXT NOT NULL,
    path          TEXT NOT NULL
) STRICT;

-- History: the only rows that are carried from snapshot to snapshot.
CREATE TABLE past_scan (
    scan_number             INTEGER PRIMARY KEY,
    root                    TEXT    NOT NULL,
    started_ns              INTEGER NOT NULL,
    finished_ns             INTEGER NOT NULL,
    duration_ms             INTEGER NOT NULL,
    tool_version            TEXT    NOT NULL,
    is_complete             INTEGER NOT NULL,
    blob_count              INTEGER NOT NULL,
    blob_bytes              INTEGER NOT NULL,
    repository_count        INTEGER NOT NULL,
    tag_count               INTEGER NOT NULL,
    revision_count          INTEGER NOT NULL,
    untagged_revision_count INTEGER NOT NULL,
    orphan_blob_count       INTEGER NOT NULL,
    orphan_bytes            INTEGER NOT NULL,
    untagged_bytes          INTEGER NOT NULL,
    problem_count           INTEGER NOT NULL
) STRICT;

-- A repository's figures for a run of scans in which they did not change: two thousand idle repositories scanned every
-- hour add no rows.
CREATE TABLE past_repository (
    name                    TEXT    NOT NULL,
    first_scan              INTEGER NOT NULL,
    last_scan               INTEGER NOT NULL,
    tag_count               INTEGER NOT NULL,
    revision_count          INTEGER NOT NULL,
    untagged_revision_count INTEGER NOT NULL,
    logical_bytes           INTEGER NOT NULL,
    exclusive_bytes         INTEGER NOT NULL,
    untagged_bytes          INTEGER NOT NULL,
    PRIMARY KEY (name, first_scan)
) STRICT, WITHOUT ROWID;

-- Lets an older file be told from one whose views are stale.
CREATE TABLE views_in_file (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    sha256 BLOB NOT NULL
) STRICT;
