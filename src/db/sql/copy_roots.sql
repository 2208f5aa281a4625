-- The rows of roots from the snapshot whose place this one takes: the files have not changed since.
INSERT INTO root_repository SELECT * FROM before.root_repository;
INSERT INTO root_row SELECT * FROM before.root_row;
