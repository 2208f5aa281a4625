-- Whether an export answers the evidence (as RootsRecord::is_export says), its time, and whether manifests are in a
-- database alone.
SELECT
    a.roots_count > 0 AND (
        a.authority = 'roots'
        OR EXISTS (SELECT 1 FROM root_source WHERE form IN ('csv', 'tsv') OR has_blobs)),
    a.roots_ns,
    EXISTS (SELECT 1 FROM root_source WHERE has_manifests_elsewhere)
FROM authority a
