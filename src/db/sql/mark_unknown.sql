-- What could not be read is not missing. A digest's place is `blobs/sha256/<two digits>/<all digits>/data`.
INSERT OR IGNORE INTO unknown_blob
SELECT b.id
FROM (
    SELECT substr(path, instr(path, 'blobs') + length('blobs')) AS below
    FROM problem
    WHERE code IN ('directory-unreadable', 'symlink-not-followed', 'file-unreadable', 'blobs-missing')
        AND (path GLOB 'blobs*' OR path GLOB 'docker/registry/v2/blobs*')
) p
JOIN blob b ON NOT b.is_present AND b.hash IS NOT NULL
    AND substr('/sha256/' || substr(lower(hex(b.hash)), 1, 2) || '/' || lower(hex(b.hash)) || '/data/', 1, length(p.below) + 1)
        = p.below || '/';

-- 3: unknown. Whatever a problem that is known breaks stays broken.
UPDATE tag SET is_broken = 3
WHERE is_broken = 1
    AND EXISTS (
        SELECT 1 FROM problem
        WHERE code IN ('directory-unreadable', 'symlink-not-followed', 'file-unreadable', 'blobs-missing'))
    AND id NOT IN (SELECT tag_id FROM problem_tag);

-- A link that may lead to something stays.
UPDATE layer_link SET is_dangling = 0, is_needed = 1
WHERE is_dangling = 1 AND blob_id IN (SELECT blob_id FROM unknown_blob);

INSERT OR REPLACE INTO total VALUES
    ('broken_tag_count', (SELECT count(*) FROM tag WHERE is_broken IN (1, 2))),
    ('dangling_link_count', (SELECT count(*) FROM layer_link WHERE is_dangling = 1)),
    ('unknown_tag_count', (SELECT count(*) FROM tag WHERE is_broken = 3)),
    ('unknown_blob_count', (SELECT count(*) FROM unknown_blob)),
    ('unreadable_directory_count', (SELECT count(*) FROM problem WHERE code = 'directory-unreadable')),
    ('unreadable_file_count', (SELECT count(*) FROM problem WHERE code = 'file-unreadable')),
    ('unreadable_place_count', (SELECT COALESCE(SUM(place_count), 0) FROM unreadable_place));
