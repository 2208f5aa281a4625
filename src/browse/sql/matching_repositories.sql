-- Repositories with a text in their names.
SELECT id FROM repository WHERE ({is_any} OR is_named(id)) AND name LIKE :pattern ESCAPE '\'
