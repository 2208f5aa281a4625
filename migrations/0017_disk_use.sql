-- What the storage takes of its disk, by what it is. Empty where the storage has no disk of its own.
CREATE TABLE used_space (
    what              TEXT PRIMARY KEY,
    item_count        INTEGER NOT NULL,         -- files, or directories
    size_bytes        INTEGER,                  -- sizes of files; NULL: directories have none
    disk_bytes        INTEGER NOT NULL,         -- blocks of these
    hard_linked_bytes INTEGER NOT NULL,         -- of disk_bytes, of files that have several names
    is_complete       INTEGER NOT NULL          -- 0: there is more than was looked at
) STRICT;

ALTER TABLE storage ADD COLUMN disk_used_bytes INTEGER; -- of disk_bytes, in use; NULL: not known
