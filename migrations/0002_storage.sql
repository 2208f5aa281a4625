-- What is known of the storage besides what lies in it. One row, replaced by every scan.
CREATE TABLE storage (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    proxy_url       TEXT,                       -- the registry behind a pull-through cache, by its configuration
    disk_bytes      INTEGER,                    -- of the file system that holds the blobs; NULL: not known
    disk_free_bytes INTEGER                     -- of that, free for whoever is not root
) STRICT;
