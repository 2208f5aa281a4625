-- What the graph knows and the file does not: filled when it has been worked out.
CREATE TEMP TABLE group_figure (prefix TEXT PRIMARY KEY, exclusive_bytes INTEGER, logical_bytes INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE broken_repository (repository_id INTEGER PRIMARY KEY);
CREATE TEMP TABLE protected_tag (tag_id INTEGER PRIMARY KEY);
