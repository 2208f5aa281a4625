-- Blobs that may be revisions which could not be listed, with all that they name (why).
CREATE TABLE held_blob (
    blob_id INTEGER PRIMARY KEY
) STRICT;
