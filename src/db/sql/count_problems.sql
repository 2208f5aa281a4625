-- After problems were added or struck from the snapshot.
UPDATE total SET value = (SELECT count(*) FROM problem) WHERE name = 'problem_count';
UPDATE total SET value = (SELECT count(*) FROM problem WHERE severity = 'error') WHERE name = 'error_count';
UPDATE past_scan SET problem_count = (SELECT count(*) FROM problem)
WHERE scan_number = (SELECT scan_number FROM scan);
