-- What the scan could not read below the directory of all repositories, from there; empty for that directory itself.
-- Uploads hold no reference.
SELECT DISTINCT
    CASE WHEN instr(path, 'repositories/') = 0 THEN ''
        ELSE substr(path, instr(path, 'repositories/') + length('repositories/')) END
FROM problem
WHERE code IN (
        'directory-unreadable', 'file-unreadable', 'symlink-not-followed', 'repositories-missing', 'namespace-empty'
    )
    AND instr(path || '/', 'repositories/') > 0
    AND instr(path || '/', '/_uploads/') = 0
