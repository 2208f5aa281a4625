-- What reports show of thousands of images and revisions, where a look at other tables for each takes half of their
-- time.
ALTER TABLE image ADD COLUMN exclusive_bytes INTEGER;       -- of its revision; NULL: it has none
ALTER TABLE image ADD COLUMN hash BLOB;                     -- the 32 bytes of a sha256 digest

UPDATE image SET
    exclusive_bytes = (
        SELECT v.exclusive_bytes FROM revision v
        WHERE v.repository_id = image.repository_id AND v.blob_id = image.manifest_id),
    hash = (SELECT b.hash FROM blob b WHERE b.id = image.manifest_id);

-- Of what no tag leads to and that is not held; else NULL.
ALTER TABLE revision ADD COLUMN untagged_hash BLOB;         -- the 32 bytes of a sha256 digest
ALTER TABLE revision ADD COLUMN untagged_kind TEXT;         -- what its manifest is

UPDATE revision SET
    untagged_hash = (SELECT b.hash FROM blob b WHERE b.id = revision.blob_id),
    untagged_kind = (SELECT m.kind FROM manifest m WHERE m.blob_id = revision.blob_id)
WHERE is_tagged = 0 AND is_held = 0;

-- Made anew, with what reports then need not look up: indices.sql.
DROP INDEX IF EXISTS untagged_by_bytes;
DROP INDEX IF EXISTS image_by_age;
DROP INDEX IF EXISTS orphan_by_size;
DROP INDEX IF EXISTS tag_by_manifest;
