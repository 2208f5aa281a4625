-- Names of tags from one number to another.
SELECT id, name FROM tag WHERE id BETWEEN :first AND :last ORDER BY id
