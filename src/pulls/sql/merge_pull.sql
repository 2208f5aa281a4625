INSERT INTO pull (repository, reference, manifest_digest, first_pulled_ns, last_pulled_ns, pull_count)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (repository, reference, manifest_digest) DO UPDATE SET
    first_pulled_ns = MIN(first_pulled_ns, excluded.first_pulled_ns),
    last_pulled_ns = MAX(last_pulled_ns, excluded.last_pulled_ns),
    pull_count = pull_count + excluded.pull_count
