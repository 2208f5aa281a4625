SELECT name FROM repository WHERE id = :text
