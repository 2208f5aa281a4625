SELECT name FROM repository
UNION
SELECT repository FROM seen_repository WHERE root = (SELECT root FROM scan)
