-- The files in which checks of content found what the snapshot says of these blobs. Another file may have the size and the
-- times of one that was read, as when two directories change places.
CREATE TABLE checked_file (
    blob_id INTEGER PRIMARY KEY,
    inode   INTEGER NOT NULL                    -- of `data`; 0 where storages have none
) STRICT;
