INSERT OR IGNORE INTO temp.protected_tag
SELECT t.id FROM tag t JOIN repository r ON r.id = t.repository_id WHERE r.name = :repository AND t.name = :tag
