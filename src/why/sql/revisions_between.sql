-- The revisions of a repository whose digests begin alike: ids are ranks in digest order.
SELECT blob_id FROM revision
WHERE repository_id = :repository AND blob_id >= :from AND blob_id < :until ORDER BY blob_id
