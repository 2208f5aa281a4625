-- What reports would have to work out from all tags, references or revisions. A scan knows it, and fills these tables.

-- Images of a repository: each digest that a tag points at other than a signature's.
CREATE TABLE image (
    repository_id     INTEGER NOT NULL,
    manifest_id       INTEGER NOT NULL,
    pushed_ns         INTEGER,                  -- when the newest of its tags was set, signatures' tags aside
    created_ns        INTEGER,                  -- NULL: not known, or the time of a reproducible build
    newest_tag_ns     INTEGER,                  -- when the newest of all its tags was set
    is_kept           INTEGER NOT NULL,         -- 1: whatever its age, for a tag of a signature or one without a time
    newer_image_count INTEGER NOT NULL,         -- images of its repository that are newer, by newest_tag_ns first
    PRIMARY KEY (repository_id, manifest_id)
) STRICT, WITHOUT ROWID;

-- Whether the times of a repository's images say anything about order. Most of them within one minute are those of a
-- copy; most creation times equal, or unknown, are those of reproducible builds.
CREATE TABLE image_order (
    repository_id       INTEGER PRIMARY KEY,
    image_count         INTEGER NOT NULL,
    has_equal_pushes    INTEGER NOT NULL,
    has_equal_creations INTEGER NOT NULL
) STRICT;

-- Images whose layers, in order, are the first layers of others, in the order in which they are shown.
CREATE TABLE base_image (
    derived_image_count INTEGER NOT NULL,       -- images that begin with all of its layers and have more
    layer_bytes         INTEGER NOT NULL,       -- of its distinct layers that are present
    manifest_id         INTEGER NOT NULL,
    layer_count         INTEGER NOT NULL,
    PRIMARY KEY (derived_image_count DESC, layer_bytes DESC, manifest_id)
) STRICT, WITHOUT ROWID;

-- Build steps that gave a new layer in more than half of at least two builds of a repository, platform by platform.
-- A layer of several platforms is counted with the one of them that was built most often: those that were built at least
-- N times are then a prefix, whose sums count each layer once.
CREATE TABLE changing_step (
    repository_id INTEGER NOT NULL,
    build_step_id INTEGER NOT NULL,
    place         INTEGER NOT NULL,             -- of the platform, by builds, the most often built first
    build_count   INTEGER NOT NULL,             -- builds for the platform
    layer_count   INTEGER NOT NULL,             -- layers that no platform before it has
    layer_bytes   INTEGER NOT NULL,             -- their bytes, as far as they are present
    PRIMARY KEY (repository_id, build_step_id, place)
) STRICT, WITHOUT ROWID;

-- Repositories whose names begin with the same parts of a path.
CREATE TABLE name_prefix (
    prefix          TEXT PRIMARY KEY,           -- `team` or `team/shop`, also the whole name of a repository
    logical_bytes   INTEGER NOT NULL,           -- distinct present blobs that they reach
    exclusive_bytes INTEGER NOT NULL            -- of those, reached by no repository outside
) STRICT, WITHOUT ROWID;

-- Present blobs by what manifests say of them.
CREATE TABLE media_type_use (
    kind             TEXT    NOT NULL,
    media_type_id    INTEGER,
    artifact_type_id INTEGER,
    blob_count       INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL
) STRICT;

-- Image manifests by the platform in their configs.
CREATE TABLE platform_use (
    os            TEXT,
    architecture  TEXT,
    variant       TEXT,
    image_count   INTEGER NOT NULL,
    logical_bytes INTEGER NOT NULL,             -- the sum over the images, which share layers
    largest_bytes INTEGER NOT NULL
) STRICT;
