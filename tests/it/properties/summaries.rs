//! What a scan sums up for reports is what those would find in all tags, references and revisions.

use rusqlite::Connection;

/// What a table of sums says, and what it is by definition; rows of both in the same order.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "SELECT repository_id, manifest_id, pushed_ns, created_ns, newest_tag_ns, is_kept, newer_image_count,
         exclusive_bytes, hash
         FROM image ORDER BY 1, 2",
        "WITH one AS (
             SELECT t.repository_id, t.manifest_id,
                 MAX(CASE WHEN c.class IS NOT 'referrer' THEN t.pushed_ns END) AS pushed_ns,
                 MAX(t.pushed_ns) AS newest_tag_ns, MAX(t.version_key) AS version_key, MAX(t.name) AS name,
                 MAX(c.class IS 'referrer' OR t.pushed_ns IS NULL) AS is_kept
             FROM tag t LEFT JOIN tag_class c ON c.tag_id = t.id
             WHERE t.manifest_id IS NOT NULL
             GROUP BY t.repository_id, t.manifest_id
             HAVING MIN(c.class IS 'referrer') = 0)
         SELECT o.repository_id, o.manifest_id, o.pushed_ns,
             CASE WHEN m.created_ns >= 315619200000000000 THEN m.created_ns END,
             o.newest_tag_ns, o.is_kept,
             ROW_NUMBER() OVER (PARTITION BY o.repository_id ORDER BY o.newest_tag_ns DESC, m.created_ns DESC,
                 o.version_key DESC, o.name DESC, o.manifest_id) - 1,
             (SELECT v.exclusive_bytes FROM revision v
                 WHERE v.repository_id = o.repository_id AND v.blob_id = o.manifest_id),
             (SELECT b.hash FROM blob b WHERE b.id = o.manifest_id)
         FROM one o LEFT JOIN manifest m ON m.blob_id = o.manifest_id
         ORDER BY 1, 2",
    ),
    (
        "SELECT repository_id, image_count, has_equal_pushes, has_equal_creations FROM image_order ORDER BY 1",
        "WITH pushed AS (
             SELECT repository_id, MAX(n) AS equal FROM (
                 SELECT repository_id, COUNT(pushed_ns) AS n FROM image
                 GROUP BY repository_id, pushed_ns / 60000000000)
             GROUP BY repository_id),
         created AS (
             SELECT repository_id, MAX(n) AS equal FROM (
                 SELECT repository_id, COUNT(*) AS n FROM image GROUP BY repository_id, created_ns / 1000000000)
             GROUP BY repository_id),
         counted AS (SELECT repository_id, COUNT(*) AS n FROM image GROUP BY repository_id)
         SELECT i.repository_id, i.n,
             i.n > 1 AND 2 * p.equal > i.n AND (p.equal > 2 OR p.equal = i.n),
             i.n > 1 AND 2 * c.equal > i.n AND (c.equal > 2 OR c.equal = i.n)
         FROM counted i
         JOIN pushed p ON p.repository_id = i.repository_id
         JOIN created c ON c.repository_id = i.repository_id
         ORDER BY 1",
    ),
    (
        "SELECT manifest_id, derived_image_count, layer_count, layer_bytes FROM base_image ORDER BY 1",
        "WITH chain AS (
             SELECT f.manifest_id, ROW_NUMBER() OVER layers AS depth, group_concat(f.blob_id, ' ') OVER layers AS layers
             FROM manifest m CROSS JOIN reference f ON f.manifest_id = m.blob_id
             WHERE f.role = 'layer' AND m.is_orphan = 0 AND m.kind IN ('image', 'schema1')
             WINDOW layers AS (PARTITION BY f.manifest_id ORDER BY f.position ROWS UNBOUNDED PRECEDING)),
         whole AS (
             SELECT * FROM (SELECT c.*, MAX(depth) OVER (PARTITION BY manifest_id) AS n FROM chain c) WHERE depth = n)
         SELECT w.manifest_id, COUNT(*), w.depth, (
             SELECT COALESCE(SUM(b.size_bytes), 0) FROM blob b
             WHERE b.id IN (SELECT f.blob_id FROM reference f WHERE f.manifest_id = w.manifest_id AND f.role = 'layer'))
         FROM whole w
         JOIN chain c ON c.layers = w.layers
         JOIN whole d ON d.manifest_id = c.manifest_id AND d.depth > c.depth
         GROUP BY w.manifest_id ORDER BY 1",
    ),
    // Whatever the least number of builds is, each layer of the platforms that reach it counts once.
    (
        "WITH least (n) AS (VALUES (2), (3), (4), (5))
         SELECT n, repository_id, build_step_id, SUM(build_count), SUM(layer_count), SUM(layer_bytes)
         FROM least JOIN changing_step ON build_count >= n GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "WITH least (n) AS (VALUES (2), (3), (4), (5)),
         build AS (
             SELECT repository_id, blob_id FROM revision
             UNION SELECT t.repository_id, e.blob_id FROM tag_entry e JOIN tag t ON t.id = e.tag_id),
         made AS (
             SELECT u.repository_id, f.build_step_id, u.blob_id AS build, f.blob_id AS layer, m.os, m.architecture, m.variant
             FROM build u JOIN manifest m ON m.blob_id = u.blob_id JOIN reference f ON f.manifest_id = u.blob_id
             WHERE f.build_step_id IS NOT NULL AND f.role = 'layer'),
         step AS (
             SELECT repository_id, build_step_id, os, architecture, variant, COUNT(DISTINCT build) AS builds
             FROM made GROUP BY 1, 2, 3, 4, 5 HAVING 2 * COUNT(DISTINCT layer) > COUNT(DISTINCT build)),
         layer AS (
             SELECT DISTINCT l.n, s.repository_id, s.build_step_id, d.layer
             FROM least l JOIN step s ON s.builds >= l.n
             JOIN made d ON d.repository_id = s.repository_id AND d.build_step_id = s.build_step_id
                 AND (d.os, d.architecture, d.variant) IS (s.os, s.architecture, s.variant))
         SELECT l.n, l.repository_id, l.build_step_id,
             (SELECT SUM(s.builds) FROM step s WHERE s.builds >= l.n AND s.repository_id = l.repository_id
                 AND s.build_step_id = l.build_step_id),
             COUNT(*), COALESCE(SUM(b.size_bytes), 0)
         FROM layer l JOIN blob b ON b.id = l.layer GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    (
        "SELECT kind, media_type_id, artifact_type_id, blob_count, size_bytes FROM media_type_use ORDER BY 1, 2, 3",
        "SELECT COALESCE(m.kind, b.kind), CASE WHEN m.kind IS NULL THEN b.layer_media_type_id ELSE m.media_type_id END,
             m.artifact_type_id, COUNT(*), SUM(b.size_bytes)
         FROM blob b LEFT JOIN manifest m ON m.blob_id = b.id AND b.kind IN ('manifest', 'index')
         WHERE b.is_present GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    (
        "SELECT os, architecture, variant, image_count, logical_bytes, largest_bytes FROM platform_use ORDER BY 1, 2, 3",
        "SELECT os, architecture, variant, COUNT(*), SUM(logical_bytes), MAX(logical_bytes) FROM manifest
         WHERE is_orphan = 0 AND kind IN ('image', 'schema1') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ),
    // A whole name without others below it is a group of one.
    (
        "SELECT r.name, x.logical_bytes, x.exclusive_bytes FROM repository r JOIN name_prefix x ON x.prefix = r.name
         WHERE NOT EXISTS (SELECT 1 FROM repository o WHERE o.name GLOB r.name || '/*') ORDER BY 1",
        "SELECT r.name, r.logical_bytes, r.exclusive_bytes FROM repository r
         WHERE NOT EXISTS (SELECT 1 FROM repository o WHERE o.name GLOB r.name || '/*') ORDER BY 1",
    ),
];

/// What revisions say of their blobs, to be shown without these.
const UNTAGGED: (&str, &str) = (
    "SELECT repository_id, blob_id, untagged_hash, untagged_kind FROM revision ORDER BY 1, 2",
    "SELECT v.repository_id, v.blob_id, iif(v.is_tagged = 0 AND v.is_held = 0, b.hash, NULL),
         iif(v.is_tagged = 0 AND v.is_held = 0, m.kind, NULL)
     FROM revision v JOIN blob b ON b.id = v.blob_id LEFT JOIN manifest m ON m.blob_id = v.blob_id ORDER BY 1, 2",
);

/// How many images are newer by version, as `keep-latest` counts them for some tags.
const VERSIONS: (&str, &str) = (
    "SELECT repository_id, manifest_id, newer_version_count FROM image ORDER BY 1, 2",
    "WITH one AS (
         SELECT t.repository_id, t.manifest_id, MAX(t.version_key) AS version_key,
             MAX(CASE WHEN c.class IS NOT 'referrer' THEN t.name END) AS name,
             MAX(c.class IS 'referrer' OR t.version_key IS NULL AND c.class IS NOT 'commit') AS is_kept
         FROM tag t LEFT JOIN tag_class c ON c.tag_id = t.id
         WHERE t.manifest_id IS NOT NULL GROUP BY 1, 2),
     part AS (
         SELECT DISTINCT o.repository_id, f.blob_id AS manifest_id, o.manifest_id AS index_id
         FROM one o
         JOIN manifest m ON m.blob_id = o.manifest_id AND m.kind = 'index'
         JOIN reference f ON f.manifest_id = o.manifest_id AND f.role = 'manifest' AND f.blob_id <> o.manifest_id
         JOIN one x ON x.repository_id = o.repository_id AND x.manifest_id = f.blob_id),
     ranked AS (
         SELECT o.repository_id, o.manifest_id, o.is_kept, ROW_NUMBER() OVER (
             PARTITION BY o.repository_id
             ORDER BY o.version_key DESC, i.created_ns DESC, o.name DESC, o.manifest_id) - 1 AS place
         FROM one o JOIN image i ON i.repository_id = o.repository_id AND i.manifest_id = o.manifest_id
         WHERE o.version_key IS NOT NULL
             AND (o.repository_id, o.manifest_id) NOT IN (SELECT repository_id, manifest_id FROM part)),
     goes AS (
         SELECT repository_id, manifest_id, place FROM ranked WHERE is_kept = 0
         UNION ALL
         SELECT p.repository_id, p.manifest_id, MIN(k.place)
         FROM part p
         JOIN one o ON o.repository_id = p.repository_id AND o.manifest_id = p.manifest_id AND o.is_kept = 0
         LEFT JOIN ranked k ON k.repository_id = p.repository_id AND k.manifest_id = p.index_id AND k.is_kept = 0
         GROUP BY 1, 2 HAVING COUNT(k.place) = COUNT(*))
     SELECT i.repository_id, i.manifest_id, g.place
     FROM image i LEFT JOIN goes g ON g.repository_id = i.repository_id AND g.manifest_id = i.manifest_id
     ORDER BY 1, 2",
);

/// The figures of `overview` and of metrics that rows can be counted for.
const TOTALS: (&str, &str) = (
    "SELECT name, value FROM total WHERE name IN ('blob_count', 'dangling_link_count', 'layer_link_count',
         'orphan_blob_count', 'orphan_bytes', 'repository_count', 'revision_count', 'tag_count', 'unneeded_link_count',
         'untagged_revision_count')
     ORDER BY 1",
    "SELECT 'blob_count' AS name, COUNT(*) AS value FROM blob WHERE is_present = 1
     UNION ALL SELECT 'dangling_link_count', COUNT(*) FROM layer_link WHERE is_dangling = 1
     UNION ALL SELECT 'layer_link_count', COUNT(*) FROM layer_link
     UNION ALL SELECT 'orphan_blob_count', COUNT(*) FROM blob WHERE is_orphan = 1
     UNION ALL SELECT 'orphan_bytes', COALESCE(SUM(size_bytes), 0) FROM blob WHERE is_orphan = 1
     UNION ALL SELECT 'repository_count', COUNT(*) FROM repository
     UNION ALL SELECT 'revision_count', COUNT(*) FROM revision
     UNION ALL SELECT 'tag_count', COUNT(*) FROM tag
     UNION ALL SELECT 'unneeded_link_count', COUNT(*) FROM layer_link WHERE is_needed = 0
     UNION ALL SELECT 'untagged_revision_count', COUNT(*) FROM revision WHERE is_tagged = 0 AND is_held = 0
     ORDER BY 1",
);

fn rows(database: &Connection, sql: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let mut statement = database.prepare(sql).unwrap();
    let count = statement.column_count();
    let rows = statement.query_map([], |row| (0..count).map(|at| row.get(at)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// Fills the tables of a snapshot made by hand, those apart that hold more than one definition says.
pub fn fill(database: &Connection) {
    let is_whole = |query: &&str| query.starts_with("SELECT") && !query.contains(" JOIN ");
    for (query, definition) in DEFINITIONS.iter().filter(|(query, _)| is_whole(query)) {
        let (columns, rest) = query.trim_start_matches("SELECT").split_once("FROM ").unwrap();
        let table = rest.split(' ').next().unwrap();
        let sql = format!("INSERT INTO {table} ({columns}) {definition}");
        database.execute_batch(&sql).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    for row in rows(database, VERSIONS.1) {
        let sql = "UPDATE image SET newer_version_count = ?3 WHERE repository_id = ?1 AND manifest_id = ?2";
        database.execute(sql, rusqlite::params_from_iter(row)).unwrap();
    }
    let sql = "UPDATE revision AS r SET untagged_hash = u.hash, untagged_kind = u.kind
        FROM (SELECT NULL AS repository, NULL AS blob, NULL AS hash, NULL AS kind WHERE 0 UNION ALL {}) u
        WHERE u.repository = r.repository_id AND u.blob = r.blob_id";
    database
        .execute_batch(&sql.replace("{}", UNTAGGED.1.trim_end_matches(" ORDER BY 1, 2")))
        .unwrap();
}

/// Compares every sum of a scan with its definition, and says of each whether it has rows.
pub fn check(database: &Connection) -> Vec<bool> {
    let check = |(table, definition): &(&str, &str)| {
        let found = rows(database, table);
        assert_eq!(found, rows(database, definition), "{table}");
        !found.is_empty()
    };
    DEFINITIONS.iter().chain([&UNTAGGED, &VERSIONS, &TOTALS]).map(check).collect()
}
