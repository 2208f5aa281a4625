//! A small snapshot made by hand, and the real binary run on it.
//!
//! Four repositories: `team/app` (two versions, one of them for two platforms, and what an
//! overwritten tag left behind), `team/model` (one large layer, hostile tag names), `tool/cli` (a
//! tag that misses a layer, a signature of an image that is gone) and `zz/ghost` (nothing left).

use std::path::{Path, PathBuf};
use std::process::Command;

use regsql::db;
use rusqlite::Connection;

use crate::env::{on_terminal, regsql_in, shown, stdout};

/// The scan ended then; commands think it is three minutes later.
pub const NOW: &str = "2026-01-31T12:03:00Z";

const DAY: i64 = 86_400_000_000_000;
/// 2026-01-31T12:00:00Z
const SCANNED: i64 = 1_769_860_800_000_000_000;

pub struct Fixture {
    directory: tempfile::TempDir,
}

/// A digest of blob `id`: ids follow the order of digests.
pub fn digest(id: u8) -> String {
    format!("sha256:{}", format!("{id:02x}").repeat(32))
}

/// As a scan counts them.
const LAYERS_OF_BUILD_STEPS: &str = "
    UPDATE build_step SET (layer_count, layer_bytes, largest_bytes) = (
        SELECT count(*), COALESCE(sum(size_bytes), 0), COALESCE(max(size_bytes), 0)
        FROM blob
        WHERE build_step_id = build_step.id AND layer_media_type_id IS NOT NULL AND is_present)";

impl Fixture {
    pub fn new() -> Self {
        Self::with(rows())
    }

    /// The same rows, inserted from the last to the first.
    pub fn reversed() -> Self {
        let mut rows = rows();
        rows.reverse();
        Self::with(rows)
    }

    /// The same scanned with an export of three rows: one is here, two are not.
    pub fn with_roots(is_reversed: bool) -> Self {
        let mut rows = rows();
        rows.retain(|row| !row.starts_with("INSERT INTO authority "));
        rows.extend(roots());
        if is_reversed {
            rows.reverse();
        }
        Self::with(rows)
    }

    /// The same after `sql`, such as an UPDATE.
    pub fn changed_by(sql: &str) -> Self {
        let mut rows = rows();
        rows.push(sql.to_owned());
        Self::with(rows)
    }

    /// Whatever the order of `rows`.
    fn with(rows: Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self { directory };
        let mut connection = Connection::open(fixture.database()).unwrap();
        db::create_tables(&mut connection).unwrap();
        for row in rows {
            connection.execute_batch(&row).unwrap_or_else(|error| panic!("{row}: {error}"));
        }
        connection.execute_batch(LAYERS_OF_BUILD_STEPS).unwrap();
        crate::properties::summaries::fill(&connection);
        let schema = "INSERT INTO scan_schema SELECT 1, user_version FROM pragma_user_version";
        connection.execute_batch(schema).unwrap();
        db::create_indices(&connection).unwrap();
        db::apply_views(&connection).unwrap();
        fixture
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("registry.db")
    }

    /// regsql in the fixture's directory, with nothing else in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = regsql_in(self.directory(), arguments);
        command.env("REGSQL_NOW", NOW);
        command
    }

    /// Exit code, standard output and standard error, as one text.
    pub fn run(&self, arguments: &[&str]) -> String {
        shown(&self.command(arguments).output().unwrap())
    }

    /// Standard output of a command that must succeed.
    pub fn stdout(&self, arguments: &[&str]) -> String {
        stdout(&mut self.command(arguments))
    }
}

impl Fixture {
    /// What `regsql arguments` prints on a terminal of so many columns, none of it through a pager.
    pub fn terminal(&self, columns: u16, arguments: &str) -> String {
        self.screen(columns, None, &format!("regsql --color never {arguments}"))
    }

    /// What a command of the shell, which must succeed, prints on a terminal of that size; `rows` is
    /// `None` for a terminal that does not tell.
    pub fn screen(&self, columns: u16, rows: Option<u16>, command: &str) -> String {
        let size = rows.map_or(String::new(), |rows| format!("stty rows {rows} cols {columns}; "));
        let output = on_terminal(&format!("{size}{command}"))
            .current_dir(self.directory())
            .env("TERM", "xterm")
            .env("REGSQL_NOW", NOW)
            .env("COLUMNS", columns.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    }
}

/// `INSERT` statements, one a row.
fn rows() -> Vec<String> {
    let mut rows = Vec::new();
    let mut insert = |table: &str, values: String| {
        rows.push(format!("INSERT INTO {table} VALUES ({values})"));
    };
    let finished = SCANNED;
    insert(
        "scan",
        format!(
            "1, 2, '/srv/registry', {}, {finished}, 1240, '0.1.0', 1, x'00', 1, 0",
            finished - 1_240_000_000
        ),
    );
    for (id, name) in [
        (1, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (2, "application/vnd.oci.image.manifest.v1+json"),
        (3, "application/vnd.oci.image.index.v1+json"),
        (4, "application/vnd.example.signature"),
    ] {
        insert("media_type", format!("{id}, '{name}'"));
    }
    for (id, step) in [
        (1, "ADD rootfs.tar.xz / # buildkit"),
        (2, "COPY . /app # buildkit"),
        (3, "COPY model.bin /model.bin # buildkit"),
    ] {
        insert("build_step", format!("{id}, '{step}', 0, 0, 0"));
    }
    blobs(&mut insert);
    manifests(&mut insert);
    repositories(&mut insert);
    totals_and_history(&mut insert);
    rows
}

/// Rows of an export in a scan's tables: `team/app` with `1.9.0` is known.
fn roots() -> Vec<String> {
    let mut rows = vec![
        format!(
            "INSERT INTO authority VALUES (1, 'both', NULL, 0, 0, 3, {}, x'00')",
            SCANNED - DAY
        ),
        format!(
            "INSERT INTO root_source (id, path, form, row_count, exported_ns, has_blobs)
             VALUES (1, '/srv/roots.csv', 'csv', 3, {}, 1)",
            SCANNED - DAY
        ),
        "INSERT INTO root_repository VALUES (1, 'team/app')".into(),
        "INSERT INTO root_repository VALUES (2, 'team/gone')".into(),
        "INSERT INTO root_blob VALUES (1, 10, 1)".into(),
        "INSERT INTO external_root (repository_id, blob_id) VALUES (1, 10)".into(),
        "INSERT INTO root_revision VALUES (1, 10)".into(),
        "INSERT INTO known_tag VALUES (2)".into(),
    ];
    for (id, kind, repository, tag, hash) in [
        (1, "manifest", "1", "'1.9.0'", "0a"),
        (2, "manifest", "2", "'1.0'", "e2"),
        (3, "blob", "NULL", "NULL", "e3"),
    ] {
        let hash = hash.repeat(32);
        rows.push(format!(
            "INSERT INTO root_row
             VALUES ({id}, 1, {}, '{kind}', 0, {repository}, {tag}, x'{hash}', NULL, NULL, NULL, NULL)",
            id + 1
        ));
    }
    rows.extend([10, 6, 1, 2].map(|blob| format!("INSERT INTO known_blob VALUES ({blob})")));
    rows
}

const MIB: i64 = 1 << 20;

fn blobs(insert: &mut impl FnMut(&str, String)) {
    // id, kind, size (0: absent), layer type, build step, manifests, repositories, tags, is_orphan
    #[expect(clippy::type_complexity, reason = "a table")]
    let table: &[(u8, &str, i64, i64, i64, i64, i64, i64, i64)] = &[
        (1, "layer", 30 * MIB, 1, 1, 4, 2, 4, 0),
        (2, "layer", 5 * MIB, 1, 2, 1, 1, 1, 0),
        (3, "layer", 6 * MIB, 1, 2, 1, 1, 2, 0),
        (4, "layer", 200 * MIB, 1, 3, 1, 1, 2, 0),
        (5, "layer", 28 * MIB, 1, 1, 1, 1, 2, 0),
        (6, "config", 1500, 0, 0, 1, 1, 1, 0),
        (7, "config", 1600, 0, 0, 1, 1, 2, 0),
        (8, "config", 1600, 0, 0, 1, 1, 2, 0),
        (9, "config", 1700, 0, 0, 1, 1, 2, 0),
        (10, "manifest", 700, 0, 0, 0, 1, 1, 0),
        (11, "manifest", 700, 0, 0, 1, 1, 2, 0),
        (12, "manifest", 700, 0, 0, 1, 1, 2, 0),
        (13, "index", 400, 0, 0, 0, 1, 2, 0),
        (14, "manifest", 500, 0, 0, 0, 1, 2, 0),
        (15, "manifest", 700, 0, 0, 0, 1, 0, 0),
        (16, "layer", 12 * MIB, 1, 2, 1, 1, 0, 0),
        (17, "config", 1500, 0, 0, 1, 1, 0, 0),
        (18, "unknown", 50 * MIB, 0, 0, 0, 0, 0, 1),
        (19, "layer", 0, 1, 0, 1, 1, 1, 0),
        (20, "manifest", 700, 0, 0, 0, 1, 1, 0),
        (21, "config", 1500, 0, 0, 1, 1, 1, 0),
        (22, "manifest", 600, 0, 0, 0, 1, 0, 0),
        (23, "unknown", 0, 0, 0, 1, 0, 0, 0),
    ];
    let null = |number: i64| {
        if number == 0 { "NULL".to_owned() } else { number.to_string() }
    };
    for (id, kind, size, layer_type, step, manifests, repositories, tags, orphan) in table {
        insert(
            "blob",
            format!(
                "{id}, x'{}', NULL, {}, {orphan}, '{kind}', {}, {modified}, {modified}, {}, {}, \
             {manifests}, {repositories}, {tags}, NULL, NULL, NULL, '{kind}' IN ('manifest', 'index')",
                format!("{id:02x}").repeat(32),
                i64::from(*size > 0),
                null(*size),
                null(*layer_type),
                null(*step),
                modified = SCANNED - 20 * DAY,
            ),
        );
    }
}

fn manifests(insert: &mut impl FnMut(&str, String)) {
    // id, kind, media type, artifact type, config, subject, layers, logical, platform
    for (id, kind, media, artifact, config, subject, layers, logical, platform) in [
        (10, "image", 2, "NULL", "6", "NULL", 2, 35 * MIB + 2200, "'linux', 'amd64'"),
        (11, "image", 2, "NULL", "7", "NULL", 2, 36 * MIB + 2300, "'linux', 'amd64'"),
        (12, "image", 2, "NULL", "8", "NULL", 1, 28 * MIB + 2300, "'linux', 'arm64'"),
        (13, "index", 3, "NULL", "NULL", "NULL", 0, 64 * MIB + 5000, "NULL, NULL"),
        (14, "image", 2, "NULL", "9", "NULL", 1, 200 * MIB + 2200, "'linux', 'amd64'"),
        (15, "image", 2, "NULL", "17", "NULL", 2, 42 * MIB + 2200, "'linux', 'amd64'"),
        (20, "image", 2, "NULL", "21", "NULL", 2, 30 * MIB + 2200, "'linux', 'amd64'"),
        (22, "artifact", 2, "4", "NULL", "23", 0, 600, "NULL, NULL"),
    ] {
        insert(
            "manifest",
            format!(
                "{id}, '{kind}', 1, 0, {media}, {artifact}, {config}, {subject}, {layers}, {logical}, \
             {platform}, NULL, NULL"
            ),
        );
    }
    let references: &[(u8, &[(&str, u8)])] = &[
        (10, &[("config", 6), ("layer", 1), ("layer", 2)]),
        (11, &[("config", 7), ("layer", 1), ("layer", 3)]),
        (12, &[("config", 8), ("layer", 5)]),
        (13, &[("manifest", 11), ("manifest", 12)]),
        (14, &[("config", 9), ("layer", 4)]),
        (15, &[("config", 17), ("layer", 1), ("layer", 16)]),
        (20, &[("config", 21), ("layer", 1), ("layer", 19)]),
        (22, &[("subject", 23)]),
    ];
    for (manifest, named) in references {
        for (position, (role, blob)) in named.iter().enumerate() {
            insert(
                "reference",
                format!("{manifest}, {position}, '{role}', {blob}, 1, NULL, NULL, NULL, 0"),
            );
            insert("referenced_by", format!("{blob}, {manifest}, {position}"));
        }
    }
}

fn repositories(insert: &mut impl FnMut(&str, String)) {
    let pushed = |days: i64| SCANNED - days * DAY;
    for row in [
        format!(
            "1, 'team/app', 3, 5, 1, 7, 0, {}, {}, {}, {}, 0, 1, x'00'",
            81 * MIB + 9000,
            51 * MIB + 9000,
            12 * MIB + 2200,
            pushed(2)
        ),
        format!(
            "2, 'team/model', 2, 1, 0, 1, 1, {0}, {0}, 0, {1}, 0, 1, x'00'",
            200 * MIB + 2200,
            pushed(200)
        ),
        format!(
            "3, 'tool/cli', 1, 2, 1, 3, 0, {}, 2800, 600, {}, 0, 1, x'00'",
            30 * MIB + 2800,
            pushed(100)
        ),
        "4, 'zz/ghost', 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 1, x'00'".into(),
    ] {
        insert("repository", row);
    }
    // repository, manifest, tagged, days, logical, exclusive
    for (repository, manifest, tagged, days, logical, exclusive) in [
        (1, 10, 1, 40, 35 * MIB + 2200, 5 * MIB + 2200),
        (1, 11, 1, 2, 36 * MIB + 2300, 6 * MIB + 2300),
        (1, 12, 1, 2, 28 * MIB + 2300, 28 * MIB + 2300),
        (1, 13, 1, 2, 64 * MIB + 5000, 34 * MIB + 5000),
        (1, 15, 0, 60, 42 * MIB + 2200, 12 * MIB + 2200),
        (2, 14, 1, 200, 200 * MIB + 2200, 200 * MIB + 2200),
        (3, 20, 1, 100, 30 * MIB + 2200, 2200),
        (3, 22, 0, 100, 600, 600),
    ] {
        insert(
            "revision",
            format!(
                "{repository}, {manifest}, {tagged}, 0, {}, {logical}, {exclusive}, NULL, NULL",
                pushed(days)
            ),
        );
    }
    // The version keys only need to sort; the second tag of team/model is hostile in each format.
    for row in [
        format!(
            "1, 1, '1.10.0', 13, {}, {}, 0, 3, 0, '0001.0010.0000'",
            pushed(2),
            64 * MIB + 5000
        ),
        format!(
            "2, 1, '1.9.0', 10, {}, {}, {}, 2, 0, '0001.0009.0000'",
            pushed(40),
            35 * MIB + 2200,
            5 * MIB + 2200
        ),
        format!("3, 1, 'latest', 13, {}, {}, 0, 3, 0, NULL", pushed(2), 64 * MIB + 5000),
        format!("4, 2, '=1+1', 14, {}, {}, 0, 1, 0, NULL", pushed(200), 200 * MIB + 2200),
        format!(
            "5, 2, char(27) || '[31m|<b>' || char(10) || char(8238), 14, {}, {}, 0, 1, 0, NULL",
            pushed(199),
            200 * MIB + 2200
        ),
        format!("6, 3, 'v1', 20, {}, {}, 2200, 2, 1, '0001'", pushed(100), 30 * MIB + 2200),
    ] {
        insert("tag", row);
    }
    for (tag, blob) in [(1, 13), (2, 10), (3, 13), (4, 14), (5, 14), (6, 20)] {
        insert("tag_entry", format!("{tag}, {blob}, 1, {}", pushed(2)));
    }
    // repository, blob, dangling, needed
    for (repository, blob, dangling, needed) in [
        (1, 1, 0, 1),
        (1, 2, 0, 1),
        (1, 3, 0, 1),
        (1, 5, 0, 1),
        (1, 6, 0, 1),
        (1, 7, 0, 1),
        (1, 18, 0, 0),
        (2, 4, 0, 1),
        (3, 1, 0, 1),
        (3, 19, 1, 1),
        (3, 21, 0, 1),
    ] {
        insert(
            "layer_link",
            format!("{repository}, {blob}, {blob}, {}, {dangling}, {needed}", pushed(50)),
        );
    }
    insert("upload", format!("2, 'b0c1', {}, {}, {}", 9 * MIB, pushed(11), pushed(10)));
    insert("upload", format!("2, 'b0c2', {}, {}, {}", MIB, pushed(1), pushed(0)));
}

fn totals_and_history(insert: &mut impl FnMut(&str, String)) {
    insert("authority", format!("1, 'storage', NULL, 0, 0, 0, NULL, x'{}'", "00".repeat(32)));
    insert("used_space", format!("'blobs', 21, {0}, {0}, 0, 1", 331 * MIB));
    insert("evidence", "1, 'repositories-without-tags-directory', 1, 4, 'zz/ghost'".into());
    insert(
        "problem",
        format!(
            "1, 'layer-missing', 'error', 'tool/cli', '{}', 'docker/registry/v2/blobs', 'a layer is gone'",
            digest(19)
        ),
    );
    insert(
        "problem",
        "2, 'ghost-repository', 'info', 'zz/ghost', NULL, \
        'docker/registry/v2/repositories/zz/ghost', 'nothing is left in it'"
            .into(),
    );
    for (name, value) in [
        ("blob_count", 21),
        ("blob_bytes", 331 * MIB),
        ("layer_count", 6),
        ("layer_bytes", 281 * MIB),
        ("config_count", 6),
        ("config_bytes", 9400),
        ("manifest_count", 7),
        ("manifest_bytes", 4600),
        ("index_count", 1),
        ("index_bytes", 400),
        ("unknown_count", 1),
        ("unknown_bytes", 50 * MIB),
        ("repository_count", 4),
        ("tag_count", 6),
        ("revision_count", 8),
        ("untagged_revision_count", 2),
        ("untagged_bytes", 12 * MIB + 2800),
        ("orphan_blob_count", 1),
        ("orphan_bytes", 50 * MIB),
        ("untagged_and_orphan_bytes", 62 * MIB + 2800),
        ("layer_link_count", 11),
        ("dangling_link_count", 1),
        ("unneeded_link_count", 1),
        ("upload_count", 2),
        ("upload_bytes", 10 * MIB),
        ("ghost_repository_count", 1),
        ("broken_tag_count", 1),
        ("problem_count", 2),
        ("error_count", 1),
    ] {
        insert("total", format!("'{name}', {value}"));
    }
    // Of the untagged revisions' blobs a part was linked ten hours before the scan.
    for (class, age, blobs, bytes) in [
        ("orphan", 0, 1, 50 * MIB),
        ("untagged", 0, 2, 2800),
        ("untagged", DAY / 24 * 10, 1, 12 * MIB),
    ] {
        let touched = if age == 0 { 0 } else { SCANNED - age };
        insert("reclaimable_hour", format!("'{class}', {touched}, {blobs}, {bytes}"));
    }
    for (number, days, bytes, tags) in [(1, 7, 300 * MIB, 5), (2, 0, 331 * MIB, 6)] {
        let finished = SCANNED - days * DAY;
        insert(
            "past_scan",
            format!(
                "{number}, '/srv/registry', {finished}, {finished}, 1240, '0.1.0', 1, 21, {bytes}, 4, \
             {tags}, 8, 2, 1, {}, {}, 2",
                50 * MIB,
                12 * MIB
            ),
        );
    }
    for (name, first, last, tags, bytes) in [
        ("team/app", 1, 1, 2, 50 * MIB),
        ("team/app", 2, 2, 3, 81 * MIB),
        ("team/model", 1, 2, 2, 200 * MIB),
        ("team/old", 1, 1, 1, 3 * MIB),
        ("tool/cli", 1, 2, 1, 30 * MIB),
        ("zz/ghost", 1, 2, 0, 0),
    ] {
        insert(
            "past_repository",
            format!("'{name}', {first}, {last}, {tags}, 5, 1, {bytes}, {bytes}, 0"),
        );
    }
}
