-- How many problems there are of each code.
SELECT code, severity, count(*) FROM problem GROUP BY code, severity
