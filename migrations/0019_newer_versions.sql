-- keep-latest: how many images of its repository are newer by version, where no tag keeps it: one that is neither a
-- version nor a commit, or a signature's. Of a platform of tagged indexes the least of theirs, where all of them may go.
-- NULL: it stays, or an older regsql made the scan.
ALTER TABLE image ADD COLUMN newer_version_count INTEGER;
