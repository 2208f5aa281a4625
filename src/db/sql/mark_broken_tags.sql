-- Tags of which nothing is missing, and which cannot be pulled all the same: a blob has the wrong size or content, or a link
-- cannot be read. They get 2, so that it can be taken back once that is mended.
UPDATE tag SET is_broken = 0 WHERE is_broken = 2;
UPDATE tag SET is_broken = 2 WHERE is_broken = 0 AND id IN (SELECT tag_id FROM problem_tag);
UPDATE total SET value = (SELECT count(*) FROM tag WHERE is_broken IN (1, 2)) WHERE name = 'broken_tag_count';
