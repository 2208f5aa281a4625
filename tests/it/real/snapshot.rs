//! A database that the `regsql` program made, and questions to its public views.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row};

/// The views that say what is on disk. `scan_info` and the histories tell of the scan instead.
pub const VIEWS: [&str; 14] = [
    "blobs",
    "layers",
    "manifests",
    "manifest_references",
    "repositories",
    "tags",
    "tag_history",
    "revisions",
    "layer_links",
    "uploads",
    "orphan_blobs",
    "problems",
    "unreadable_roots",
    "totals",
];

/// A scanned storage.
pub struct Snapshot(Connection);

impl Snapshot {
    /// Scans into a new database.
    pub fn of(storage: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = directory.path().join("registry.db");
        scan(&db, storage);
        // SQLite keeps the file open, so the directory may go.
        Self::open(&db)
    }

    pub fn open(db: &Path) -> Self {
        let connection = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let snapshot = Self(connection);
        // Read something, so that the file is really open.
        assert_eq!(snapshot.number("SELECT count(*) FROM scan_info"), 1);
        snapshot
    }

    pub fn rows<T>(&self, sql: &str, read: impl Fn(&Row) -> rusqlite::Result<T>) -> Vec<T> {
        let mut statement = self.0.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let rows = statement.query_map([], |row| read(row)).unwrap();
        rows.map(|row| row.unwrap_or_else(|error| panic!("{error}: {sql}"))).collect()
    }

    /// A column of texts.
    pub fn texts(&self, sql: &str) -> BTreeSet<String> {
        self.rows(sql, |row| row.get(0)).into_iter().collect()
    }

    /// Two columns of texts.
    pub fn pairs(&self, sql: &str) -> BTreeSet<(String, String)> {
        self.rows(sql, |row| Ok((row.get(0)?, row.get(1)?))).into_iter().collect()
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.rows(sql, |row| row.get(0))[0]
    }

    /// Every row of every view in [`VIEWS`], as text.
    pub fn everything(&self) -> BTreeSet<String> {
        let of_view = |view: &&str| {
            self.rows(&format!("SELECT * FROM {view}"), |row| {
                let columns = row.as_ref().column_count();
                let cells: rusqlite::Result<Vec<Value>> =
                    (0..columns).map(|i| row.get(i)).collect();
                Ok(format!("{view}: {:?}", cells?))
            })
        };
        VIEWS.iter().flat_map(of_view).collect()
    }

    pub fn orphan_blobs(&self) -> BTreeSet<String> {
        self.texts("SELECT blob_digest FROM orphan_blobs")
    }

    /// Untagged revisions: repository and digest.
    pub fn untagged(&self) -> BTreeSet<(String, String)> {
        self.pairs("SELECT repository, manifest_digest FROM revisions WHERE NOT is_tagged")
    }

    /// The blobs that go when every untagged revision goes: present, reached by such a revision,
    /// and by no tagged one. A subject is what a referrer is about, it is not part of it.
    pub fn freed_by_untagged(&self) -> BTreeSet<String> {
        self.texts(
            "WITH RECURSIVE reached (is_tagged, digest) AS (
                 SELECT is_tagged, manifest_digest FROM revisions
                 UNION
                 SELECT r.is_tagged, m.digest FROM reached r
                 JOIN manifest_references m ON m.manifest_digest = r.digest
                 WHERE m.role <> 'subject'
             )
             SELECT digest FROM reached WHERE NOT is_tagged
             INTERSECT SELECT digest FROM blobs WHERE is_present
             EXCEPT SELECT digest FROM reached WHERE is_tagged",
        )
    }

    /// Bytes on disk of a set of blobs.
    pub fn bytes_of(&self, digests: &BTreeSet<String>) -> i64 {
        let sizes = self.rows("SELECT digest, size_bytes FROM blobs WHERE is_present", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        });
        sizes.iter().filter(|(digest, _)| digests.contains(digest)).map(|(_, size)| size).sum()
    }
}

/// Runs `regsql --db DB scan STORAGE`, which must succeed.
pub fn scan(db: &Path, storage: &Path) {
    let mut command = crate::env::regsql();
    run_scan(command.arg("--db").arg(db).arg("scan").arg(storage));
}

/// Runs a command that scans, which must succeed.
pub fn run_scan(command: &mut Command) {
    let output = command.env_remove("REGSQL_DB").output().unwrap();
    let (out, error) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(error)
    );
}
