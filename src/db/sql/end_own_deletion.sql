-- What it was to take is not missed; what it left is.
UPDATE seen_repository
SET tag_count = MIN(seen_repository.tag_count, d.tag_count),
    revision_count = MIN(seen_repository.revision_count, d.revision_count)
FROM own_deletion d
WHERE d.repository = seen_repository.repository AND seen_repository.root = (SELECT root FROM scan);

DELETE FROM own_deletion;
