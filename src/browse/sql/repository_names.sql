SELECT id, name FROM repository
