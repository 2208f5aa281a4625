-- What reports show of thousands of images, where a look at revision and blob for each takes half of their time.
ALTER TABLE image ADD COLUMN exclusive_bytes INTEGER;       -- of its revision; NULL: it has none
ALTER TABLE image ADD COLUMN hash BLOB;                     -- the 32 bytes of a sha256 digest

UPDATE image SET
    exclusive_bytes = (
        SELECT v.exclusive_bytes FROM revision v
        WHERE v.repository_id = image.repository_id AND v.blob_id = image.manifest_id),
    hash = (SELECT b.hash FROM blob b WHERE b.id = image.manifest_id);
