-- What a bucket's provider says beside names, sizes and times. All of it NULL on a file system.
ALTER TABLE storage ADD COLUMN noncurrent_version_count INTEGER; -- older versions and deleted contents that it keeps; NULL: not known
ALTER TABLE storage ADD COLUMN noncurrent_version_bytes INTEGER;
ALTER TABLE storage ADD COLUMN delete_marker_count INTEGER;
ALTER TABLE storage ADD COLUMN multipart_upload_count INTEGER;   -- begun and neither completed nor aborted
ALTER TABLE storage ADD COLUMN multipart_upload_bytes INTEGER;
ALTER TABLE storage ADD COLUMN inventory TEXT;                   -- where the inventory lies that was read instead of a listing
ALTER TABLE storage ADD COLUMN inventory_ns INTEGER;             -- when the provider made it
-- The storage classes of blobs, as the provider calls them.
CREATE TABLE storage_class (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;
CREATE TABLE blob_storage_class (
    blob_id  INTEGER PRIMARY KEY,
    class_id INTEGER NOT NULL
) STRICT;
