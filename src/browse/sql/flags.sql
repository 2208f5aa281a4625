INSERT OR IGNORE INTO temp.broken_repository SELECT DISTINCT repository_id FROM tag WHERE is_broken IN (1, 2);
INSERT OR IGNORE INTO temp.protected_tag SELECT tag_id FROM known_tag;
