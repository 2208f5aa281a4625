-- What the next scan need not read from disk again, in the form of `scan::known`: section 0 the parts, 1 blobs and
-- links, 2 what manifests say; each in pieces.
CREATE TABLE remembered (
    section INTEGER NOT NULL,
    piece   INTEGER NOT NULL,
    bytes   BLOB    NOT NULL,
    PRIMARY KEY (section, piece)
) STRICT;
