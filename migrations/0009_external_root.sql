-- What external roots keep, resolved to this snapshot's rows: a tag to what it points at, an image id to its manifests.
CREATE TABLE external_root (
    repository_id INTEGER,                      -- NULL: wherever it lies
    blob_id       INTEGER NOT NULL
) STRICT;
