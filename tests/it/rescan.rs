//! Scanning again: what changed is seen, what did not costs little, and the old snapshot stays until
//! the new one is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use regsql::sample::{RegistryBuilder, paths};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::real::snapshot::VIEWS;

/// Something that happens to a storage between two scans.
type Change<'a> = &'a dyn Fn(&Storage);

struct Storage {
    directory: TempDir,
}

impl Storage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = RegistryBuilder::new();
        let base = registry.layer("base", 5_000);
        for tag in ["1.0", "1.1"] {
            let own = registry.layer(tag, 2_000);
            registry.image("team/app").layers([&base, &own]).push_tag(tag);
        }
        registry.layer("garbage", 700);
        registry.upload(
            "team/app",
            "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10",
            10,
            "2026-01-02T03:04:05Z",
        );
        registry.write_to(&directory.path().join("registry")).unwrap();
        Self { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn database(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn scan(&self, database: &str, options: &[&str]) -> Output {
        crate::env::regsql()
            .arg("--db")
            .arg(self.database(database))
            .arg("scan")
            .args(options)
            .arg(self.root())
            .output()
            .unwrap()
    }

    /// Scans again into the same database; whether something was found to have changed.
    fn rescan(&self) -> bool {
        let output = self.scan("registry.db", &[]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        !text(&output.stderr).contains("nothing has changed")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every row that does not tell of the scan itself.
pub fn content(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let mut rows = Vec::new();
    for view in VIEWS {
        let mut statement = connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let cells: Vec<rusqlite::types::Value> =
                (0..columns).map(|at| row.get(at).unwrap()).collect();
            rows.push(format!("{view} {cells:?}"));
        }
    }
    rows.sort();
    rows
}

#[test]
fn an_unchanged_storage_is_told_from_a_changed_one_whatever_changed() {
    let image = "team/app";
    let changes: &[(&str, Change)] = &[
        ("a new blob", &|storage| {
            let mut more = RegistryBuilder::new();
            more.layer("another", 10);
            more.write_to(&storage.below("")).unwrap();
        }),
        ("a blob cut short", &|storage| {
            let blob = RegistryBuilder::new().layer("base", 5_000).digest;
            fs::write(storage.below(&paths::blob(&blob)), "short").unwrap();
        }),
        ("a layer link written again", &|storage| {
            let blob = RegistryBuilder::new().layer("base", 5_000).digest;
            let link = File::open(storage.below(&paths::layer_link(image, &blob))).unwrap();
            link.set_modified(SystemTime::now() + Duration::from_mins(1)).unwrap();
        }),
        ("a tag moved", &|storage| {
            let from = storage.below(&paths::tag_current(image, "1.0"));
            fs::copy(from, storage.below(&paths::tag_current(image, "1.1"))).unwrap();
        }),
        ("a tag deleted", &|storage| {
            fs::remove_dir_all(storage.below(&paths::tag(image, "1.0"))).unwrap();
        }),
        ("an upload that goes on", &|storage| {
            let id = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
            let data = storage.below(&format!("{}/data", paths::upload(image, id)));
            fs::write(data, "more than the ten bytes before").unwrap();
        }),
        ("a repository renamed", &|storage| {
            let to = storage.below(&paths::repository("other"));
            fs::rename(storage.below(&paths::repository("team")), to).unwrap();
        }),
        ("a pull-through cache", &|storage| {
            fs::write(storage.below("scheduler-state.json"), "{}").unwrap();
        }),
    ];
    for (name, change) in changes {
        let storage = Storage::new();
        assert!(storage.rescan(), "the first scan");
        assert!(!storage.rescan(), "{name}: nothing changed yet");
        change(&storage);
        assert!(storage.rescan(), "{name} was overlooked");
        assert!(storage.scan("fresh.db", &["--full"]).status.success());
        let (again, fresh) = (storage.database("registry.db"), storage.database("fresh.db"));
        let mut again = content(&again);
        if *name == "a repository renamed" {
            // Only a database with a history can miss something.
            let before = again.len();
            again.retain(|row| !row.contains("vanished"));
            assert_eq!(again.len() + 1, before);
            let of_problems = |row: &String| {
                !row.contains("\"problem_count\"") && !row.contains("\"error_count\"")
            };
            again.retain(of_problems);
            let fresh: Vec<String> = content(&fresh).into_iter().filter(of_problems).collect();
            assert_eq!(again, fresh, "{name}");
        } else {
            assert_eq!(again, content(&fresh), "{name}");
        }
        assert!(!storage.rescan(), "{name}: nothing changed any more");
    }
}

#[test]
fn an_unchanged_rescan_leaves_the_content_and_adds_to_the_history() {
    let storage = Storage::new();
    storage.rescan();
    let database = storage.database("registry.db");
    let before = content(&database);
    assert!(!storage.rescan());
    assert_eq!(content(&database), before);
    let connection = Connection::open(&database).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM scan_history"), 2);
    assert_eq!(number("SELECT count(*) FROM repository_history"), 2);
    assert_eq!(number("SELECT count(*) FROM past_repository"), 1, "one row for a run of scans");
    assert_eq!(number("SELECT scan_number FROM scan_info"), 2);
}

#[test]
fn history_outlives_the_snapshot() {
    let storage = Storage::new();
    storage.rescan();
    fs::remove_dir_all(storage.below(&paths::tag("team/app", "1.0"))).unwrap();
    storage.rescan();
    let connection = Connection::open(storage.database("registry.db")).unwrap();
    let mut statement = connection
        .prepare("SELECT tag_count FROM repository_history ORDER BY scan_number")
        .unwrap();
    let counts: Vec<i64> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn what_a_killed_scan_left_is_replaced_and_the_old_snapshot_stands_until_then() {
    let storage = Storage::new();
    storage.rescan();
    let before = content(&storage.database("registry.db"));
    fs::write(storage.database(".registry.db.new"), "half a file").unwrap();
    fs::write(storage.database(".registry.db.lock"), "").unwrap();
    assert_eq!(content(&storage.database("registry.db")), before);
    assert!(storage.scan("registry.db", &["--full"]).status.success());
    assert_eq!(content(&storage.database("registry.db")), before);
    let mut names: Vec<_> = fs::read_dir(storage.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["registry", "registry.db"], "nothing is left behind");
}

#[test]
fn two_scans_never_write_one_database() {
    let storage = Storage::new();
    storage.rescan();
    let lock = File::create(storage.database(".registry.db.lock")).unwrap();
    lock.lock().unwrap();
    let output = storage.scan("registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.starts_with("error: another scan is writing `"), "{message}");
    assert!(message.contains("hint: wait for the other scan"), "{message}");
}

#[test]
fn a_database_that_is_locked_foreign_or_newer_is_left_as_it_is() {
    let storage = Storage::new();
    let database = storage.database("registry.db");

    fs::write(&database, "notes of mine, not a database").unwrap();
    let output = storage.scan("registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not a regsql database"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&database).unwrap(), "notes of mine, not a database");
    fs::remove_file(&database).unwrap();

    // A full disk may have left it.
    fs::write(&database, "").unwrap();
    let output = storage.scan("registry.db", &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::remove_file(&database).unwrap();

    fs::create_dir(&database).unwrap();
    let output = storage.scan("registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not a regsql database"), "{}", text(&output.stderr));
    fs::remove_dir(&database).unwrap();

    Connection::open(&database).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let output = storage.scan("registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not a regsql database"), "{}", text(&output.stderr));
    fs::remove_file(&database).unwrap();

    storage.rescan();
    Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let output = storage.scan("registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("was made by a newer regsql (schema 99"),
        "{}",
        text(&output.stderr)
    );
    fs::remove_file(&database).unwrap();

    storage.rescan();
    let holder = Connection::open(&database).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let output = storage.scan("registry.db", &["--full"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("is locked by another process"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn views_of_an_older_regsql_are_made_anew_and_its_history_is_kept() {
    let storage = Storage::new();
    storage.rescan();
    let database = storage.database("registry.db");
    let old = Connection::open(&database).unwrap();
    old.execute_batch(
        "DROP VIEW tags; CREATE VIEW tags AS SELECT 1 AS old; UPDATE views_in_file SET sha256 = x'00';",
    )
    .unwrap();
    drop(old);
    let output = crate::env::regsql()
        .arg("--db")
        .arg(&database)
        .args(["sql", "SELECT tag FROM tags ORDER BY tag", "--format", "csv"])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "tag\n1.0\n1.1\n", "{}", text(&output.stderr));
    let connection = Connection::open(&database).unwrap();
    let scans: i64 =
        connection.query_row("SELECT count(*) FROM scan_history", [], |row| row.get(0)).unwrap();
    assert_eq!(scans, 1);
}

#[test]
fn a_database_inside_the_storage_is_refused() {
    let storage = Storage::new();
    let output = storage.scan("registry/registry.db", &[]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("would lie inside the storage"), "{message}");
    assert!(message.contains("hint: regsql never writes to a storage"), "{message}");
    assert!(!storage.database("registry/registry.db").exists());
}

#[test]
fn a_reader_of_the_old_snapshot_reads_on_while_a_new_one_is_published() {
    let storage = Storage::new();
    storage.rescan();
    let reader = Connection::open(storage.database("registry.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count =
        || reader.query_row("SELECT count(*) FROM tags", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 2);
    fs::remove_dir_all(storage.below(&paths::tag("team/app", "1.0"))).unwrap();
    assert!(storage.rescan());
    assert_eq!(count(), 2);
}
