-- Blobs of which nobody knows whether they are on disk: the directory where they belong could not be read.
CREATE TABLE unknown_blob (
    blob_id INTEGER PRIMARY KEY
) STRICT;
