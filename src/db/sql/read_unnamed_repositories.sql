-- Where tags or manifests seem to be elsewhere: repositories with revisions of which the roots name nothing. The export may
-- be of a part of the product. With image streams, and with roots as the authority, what is not in the roots is dead.
SELECT r.name
FROM repository r
WHERE r.revision_count > 0
    AND (SELECT MAX(roots_count) FROM authority WHERE authority = 'both') > 0
    AND (
        EXISTS (SELECT 1 FROM evidence WHERE code <> 'repositories-without-tags-directory')
        OR r.id IN (SELECT repository_id FROM repository_without_tags))
    AND NOT EXISTS (SELECT 1 FROM root_source WHERE has_streams)
    AND NOT EXISTS (
        SELECT 1
        FROM revision v
        JOIN known_blob k ON k.blob_id = v.blob_id
        WHERE v.repository_id = r.id)
