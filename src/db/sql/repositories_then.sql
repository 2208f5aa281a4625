SELECT name, tag_count, revision_count FROM past_repository
WHERE ?1 BETWEEN first_scan AND last_scan
    AND name NOT IN (SELECT repository FROM own_removal)
ORDER BY name
