-- An OpenShift `Image` keeps its blobs; which of its revisions stay is said by the image streams.
ALTER TABLE external_root ADD COLUMN keeps_revisions INTEGER NOT NULL DEFAULT 1;
