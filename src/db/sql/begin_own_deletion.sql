INSERT OR REPLACE INTO own_deletion (repository, recorded_ns, tag_count, revision_count) VALUES (?1, ?2, ?3, ?4)
