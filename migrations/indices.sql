-- Built after the rows are loaded; each names what it serves.

-- largest-layers: walk the layers from the largest down and stop at the limit.
CREATE INDEX IF NOT EXISTS layer_by_size ON blob (size_bytes) WHERE layer_media_type_id IS NOT NULL;

-- rare-layers: walk the layers from what each reference costs most and stop at the limit. shared-layers: all layers
-- without their rows, which are four times as wide.
CREATE INDEX IF NOT EXISTS layer_by_rank
    ON blob (size_bytes / manifest_count, size_bytes, manifest_count, layer_media_type_id)
    WHERE layer_media_type_id IS NOT NULL;

-- untagged-revisions: from those that free most down, with all that is shown of them.
CREATE INDEX IF NOT EXISTS untagged_by_bytes
    ON revision (
        exclusive_bytes DESC, repository_id, blob_id, logical_bytes, pushed_ns, is_tagged, is_held, untagged_kind, untagged_hash)
    WHERE is_tagged = 0 AND is_held = 0;

-- older-than: the oldest first, without their rows.
CREATE INDEX IF NOT EXISTS image_by_age
    ON image (newest_tag_ns, repository_id, manifest_id, is_kept, newer_image_count, exclusive_bytes, hash)
    WHERE is_kept = 0;

-- orphan-blobs, orphan_blobs: the orphans without a pass over all blobs, with all that is shown of them.
CREATE INDEX IF NOT EXISTS orphan_by_size
    ON blob (size_bytes, id, is_orphan, kind, modified_ns, hash, other_digest) WHERE is_orphan = 1;

-- from a manifest to the repositories and tags that hold it: rare-layers, layer-images, why. older-than and keep-latest
-- show what this one has of tags.
CREATE INDEX IF NOT EXISTS revision_by_manifest ON revision (blob_id);
CREATE INDEX IF NOT EXISTS tag_by_manifest
    ON tag (manifest_id, repository_id, id, name, pushed_ns, exclusive_bytes, logical_bytes);

-- one tag by its name.
CREATE INDEX IF NOT EXISTS tag_by_name ON tag (repository_id, name);

-- one repository by its name.
CREATE INDEX IF NOT EXISTS repository_by_name ON repository (name);

-- from a blob to the digests that resolve to it: why.
CREATE INDEX IF NOT EXISTS alias_by_target ON alias (target_blob_id);

-- pulls by digest.
CREATE INDEX IF NOT EXISTS pull_by_digest ON pull (repository, manifest_digest);

-- from a blob to the roots that name it: why, not-pulled, keep-latest.
CREATE INDEX IF NOT EXISTS root_by_blob ON root_blob (blob_id);
