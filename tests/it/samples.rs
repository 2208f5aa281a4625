//! The registries that are made from code: the demo's and the benchmark's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use regsql::sample::demo::{demo_registry, write_demo};
use regsql::sample::generate::{Size, generate};
use rusqlite::Connection;
use walkdir::WalkDir;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(490_000)
}

fn scan(root: &Path, database: &Path) -> Connection {
    let output =
        crate::env::regsql().arg("--db").arg(database).arg("scan").arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Connection::open(database).unwrap()
}

fn number(database: &Connection, query: &str) -> i64 {
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_demo_has_something_for_every_kind_of_report() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    write_demo(&root, now()).unwrap();
    let database = scan(&root, &directory.path().join("registry.db"));
    for query in [
        "SELECT count(*) FROM orphan_blobs",
        "SELECT count(*) FROM revisions WHERE NOT is_tagged",
        "SELECT count(*) FROM layer_links WHERE is_dangling",
        "SELECT count(*) FROM layer_links WHERE NOT is_needed AND NOT is_dangling",
        "SELECT count(*) FROM tags WHERE is_broken",
        "SELECT count(*) FROM uploads",
        "SELECT count(*) FROM manifests WHERE kind = 'index'",
        "SELECT count(*) FROM layers WHERE size_bytes > 1000000000 AND manifest_count = 1 AND created_by IS NOT NULL",
        "SELECT count(*) FROM layers WHERE repository_count >= 4",
        "SELECT count(*) FROM problems WHERE code = 'orphan-referrer'",
        "SELECT count(*) FROM repositories WHERE revision_count = 0 AND tag_count = 0",
        "SELECT count(*) FROM tag_history WHERE NOT is_current",
        "SELECT count(*) FROM tags WHERE version_key IS NOT NULL",
    ] {
        assert!(number(&database, query) > 0, "{query} finds nothing");
    }
    let bytes = number(&database, "SELECT sum(size_bytes) FROM blobs WHERE is_present");
    assert!((3_i64 << 30..7 << 30).contains(&bytes), "{bytes} bytes");
    assert!(blocks_below(&root) < 8 << 20, "the demo must take little space");
}

fn blocks_below(directory: &Path) -> u64 {
    let below = WalkDir::new(directory).min_depth(1);
    below.into_iter().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

#[test]
fn the_demo_is_the_same_for_the_same_moment() {
    let registries = [demo_registry(now()), demo_registry(now())];
    let [one, other] = registries.map(|registry| {
        let entries = registry.tree.iter();
        entries.map(|(path, entry)| (path.to_owned(), entry.clone())).collect::<BTreeMap<_, _>>()
    });
    assert!(one == other);
}

#[test]
fn the_demo_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("precious"), "x").unwrap();
    let error = write_demo(directory.path(), now()).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
}

#[test]
fn a_generated_registry_has_what_was_asked_for_and_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    let size = Size::preset("tiny").unwrap();
    let counts = generate(&root, &size).unwrap();
    assert_eq!(counts.blobs, size.blobs);
    let database = scan(&root, &directory.path().join("registry.db"));
    for (query, expected) in [
        ("SELECT count(*) FROM blobs WHERE is_present", counts.blobs),
        ("SELECT count(*) FROM orphan_blobs", counts.orphans),
        ("SELECT count(*) FROM repositories", counts.repositories),
        ("SELECT count(*) FROM revisions", counts.revisions),
        ("SELECT count(*) FROM tags", counts.tags),
        ("SELECT count(*) FROM layer_links", counts.layer_links),
        ("SELECT count(*) FROM manifest_references", counts.references),
        ("SELECT count(*) FROM problems", 0),
    ] {
        assert_eq!(number(&database, query) as u64, expected, "{query}");
    }
}
