-- A repository whose figures are those of the last scan: its row reaches to this scan.
UPDATE past_repository SET last_scan = (SELECT scan_number FROM scan)
WHERE last_scan = (SELECT scan_number - 1 FROM scan)
  AND EXISTS (
    SELECT 1 FROM repository r
    WHERE r.name = past_repository.name
      AND r.tag_count = past_repository.tag_count
      AND r.revision_count = past_repository.revision_count
      AND r.untagged_revision_count = past_repository.untagged_revision_count
      AND r.logical_bytes = past_repository.logical_bytes
      AND r.exclusive_bytes = past_repository.exclusive_bytes
      AND r.untagged_bytes = past_repository.untagged_bytes
  );

-- All others begin a row.
INSERT INTO past_repository
SELECT r.name, s.scan_number, s.scan_number, r.tag_count, r.revision_count, r.untagged_revision_count,
       r.logical_bytes, r.exclusive_bytes, r.untagged_bytes
FROM repository r, scan s
WHERE NOT EXISTS (
    SELECT 1 FROM past_repository p WHERE p.name = r.name AND p.last_scan = s.scan_number
)
ORDER BY r.name;
