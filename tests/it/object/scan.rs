//! Scanning a registry in a bucket: what it sees is what a scan of the same files sees.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use regsql::model::progress::Hidden;
use regsql::sample::{Content, RegistryBuilder, paths};
use regsql::scan::DeepLook;
use regsql::snapshot::{Reuse, RootsChoice, ScanError, ScanOptions, Summary, scan, scan_storage};
use regsql::storage::AnyStorage;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider, Settings};
use regsql::storage::object::{Bucket, BucketErrorKind, ObjectStorage};
use rusqlite::Connection;
use walkdir::WalkDir;

use super::bucket::{PREFIX, sample};
use crate::rescan::content;

/// What a deletion, a push that failed and a person leave behind.
fn damaged() -> RegistryBuilder {
    let (mut registry, things) = sample();
    let nowhere = RegistryBuilder::new().layer("nowhere", 10).digest;
    registry.link_layer("a", &nowhere);
    let cut = paths::layer_link("a/b", &things.old_layer.digest);
    registry.put(cut, Content::Bytes(b"cut".to_vec()));
    registry.link_revision("a/b", &things.old_layer.digest);
    registry.untag("a", "new");
    registry.put(paths::tag_current("a", "half"), Content::Bytes(Vec::new()));
    registry.put(format!("{}/x.tmp", paths::repository("a/b")), Content::Bytes(vec![1]));
    registry
}

pub fn options(database: &Path) -> ScanOptions {
    ScanOptions {
        storage: "unused".into(),
        database: database.to_owned(),
        io_threads: NonZeroUsize::new(4).unwrap(),
        reuse: Reuse::DIRECTORIES,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
        deep: DeepLook::Auto,
    }
}

/// The files below `root` as objects of the same times.
fn upload(root: &Path, bucket: &MemoryBucket) {
    upload_older(root, bucket, 0);
}

/// The files below `root` as objects, all of the bucket's own time.
pub fn write_tree(root: &Path, bucket: &MemoryBucket) {
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
            bucket.write(&format!("{PREFIX}{below}"), &fs::read(entry.path()).unwrap());
        }
    }
}

/// The same, so many seconds older: what is new may change once more without showing it, and is read again.
fn upload_older(root: &Path, bucket: &MemoryBucket, seconds: i64) {
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
            let facts = entry.metadata().unwrap();
            bucket.set_now_ns((facts.mtime() - seconds) * 1_000_000_000 + facts.mtime_nsec());
            bucket.write(&format!("{PREFIX}{below}"), &fs::read(entry.path()).unwrap());
        }
    }
}

fn scan_bucket(bucket: MemoryBucket, database: &Path) -> Result<Summary, ScanError> {
    let storage = ObjectStorage::new(Arc::new(bucket), PREFIX);
    scan_storage(&options(database), &storage, &Hidden)
}

/// Rows of one scan that the other has not.
fn difference(one: &Path, other: &Path) -> Vec<String> {
    let rows = |database: &Path| -> BTreeSet<String> {
        // Files have no storage class, the last column of a blob.
        let without_class = |row: String| match row.strip_suffix("Text(\"STANDARD\")]") {
            Some(rest) if row.starts_with("blobs ") => format!("{rest}Null]"),
            _ => row,
        };
        content(database).into_iter().map(without_class).collect()
    };
    let [one, other] = [one, other].map(rows);
    let missing = one.difference(&other).map(|row| format!("- {row}"));
    missing.chain(other.difference(&one).map(|row| format!("+ {row}"))).collect()
}

#[test]
fn a_scan_of_a_bucket_sees_what_a_scan_of_the_same_files_sees() {
    for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        damaged().write_to(&root).unwrap();
        for page_size in [1000, 7] {
            let bucket =
                MemoryBucket::new("s3://b", Settings { page_size, ..Settings::of(provider) });
            upload(&root, &bucket);
            let [files, objects] =
                ["files.db", "objects.db"].map(|name| directory.path().join(name));
            scan(&ScanOptions { storage: root.clone(), ..options(&files) }, &Hidden).unwrap();
            scan_bucket(bucket, &objects).unwrap();
            assert_eq!(difference(&files, &objects), Vec::<String>::new(), "{provider:?}");
            let of_disk = "SELECT count(*) FROM disk_use";
            let of_disk = [&files, &objects].map(|database| {
                let connection = Connection::open(database).unwrap();
                connection.query_row(of_disk, [], |row| row.get::<_, i64>(0)).unwrap() > 0
            });
            assert_eq!(of_disk, [true, false], "a bucket has no disk of its own");
            fs::remove_file(objects).unwrap();
        }
    }
}

#[test]
fn no_link_is_read_and_a_registry_that_stayed_is_only_listed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("registry.db");
    let (mut registry, _) = sample();
    registry.layer("one more", 10);
    let root = directory.path().join("registry");
    registry.write_to(&root).unwrap();
    let bucket = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
    upload_older(&root, &bucket, 3600);
    let requests = |database: &Path| {
        let client = Arc::new(bucket.client(Fault::Never));
        let storage = ObjectStorage::new(Arc::clone(&client) as Arc<dyn Bucket>, PREFIX);
        let any = AnyStorage::Object(Box::new(storage));
        let summary = scan_storage(&options(database), &*any, &Hidden).unwrap();
        (client.requests(), summary.is_unchanged)
    };
    let (first, _) = requests(&database);
    let (second, is_unchanged) = requests(&database);
    assert!(is_unchanged);
    // Three lists, whether there are versions, what lies beside the registry and in the trash, and the start of the
    // upload.
    assert!(second <= 3 + 1 + 12 + 1, "{second}");
    // Two of each of eight manifests, at most, and those of blobs that nothing names.
    assert!(first <= second + 2 * 8 + 6, "{first}, {second}");
}

#[test]
fn keys_that_no_path_can_hold_are_findings_and_markers_of_directories_are_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    sample().0.write_to(&root).unwrap();
    let bucket = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
    upload(&root, &bucket);
    let below = |key: &str| format!("{PREFIX}docker/registry/v2/{key}");
    for key in ["repositories//x", "repositories/a/../b", "blobs/sha256/./x", "repositories/a/x/"] {
        bucket.write(&below(key), b"content");
    }
    bucket.write(&below("repositories/a/"), b"");
    let database = directory.path().join("registry.db");
    scan_bucket(bucket, &database).unwrap();
    let problems: Vec<_> = content(&database)
        .into_iter()
        .filter(|row| row.starts_with("problems") && row.contains("no path"))
        .collect();
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn a_listing_that_fails_or_shows_nothing_makes_no_snapshot_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("registry.db");
    let empty = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
    let error = scan_bucket(empty.client(Fault::Never), &database).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("nothing lies here"));
    assert!(error.hint().unwrap().contains("rootdirectory"));
    empty.write(&format!("{PREFIX}other/x"), b"x");
    let error = scan_bucket(empty.client(Fault::Never), &database).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("but other/"));

    let root = directory.path().join("registry");
    sample().0.write_to(&root).unwrap();
    let settings = Settings { page_size: 7, ..Settings::of(Provider::S3) };
    let bucket = MemoryBucket::new("s3://b", settings);
    upload(&root, &bucket);
    for request in 0..10 {
        let fault = Fault::Once(request, BucketErrorKind::Denied);
        scan_bucket(bucket.client(fault), &database).unwrap_err();
        assert!(!database.exists(), "{request}");
    }
}

fn number(database: &Path, sql: &str) -> Option<i64> {
    rusqlite::Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_a_bucket_keeps_of_what_was_deleted_is_counted_beside_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    sample().0.write_to(&root).unwrap();
    let settings = Settings { has_versions: true, ..Settings::of(Provider::S3) };
    let bucket = MemoryBucket::new("s3://b", settings);
    upload(&root, &bucket);
    let below = |key: &str| format!("{PREFIX}docker/registry/v2/{key}");
    // What a collector deleted, and a tag that moved.
    let gone = below(&format!("blobs/sha256/aa/{}/data", "a".repeat(64)));
    bucket.write(&gone, &[0; 5000]);
    bucket.remove(&gone);
    let tag = bucket.contents().into_keys().find(|key| key.ends_with("/current/link")).unwrap();
    let link = bucket.contents()[&tag].clone();
    bucket.write(&tag, &link);
    bucket.start_upload(&below(&format!("blobs/sha256/bb/{}/data", "b".repeat(64))), 700);
    let database = directory.path().join("registry.db");
    let summary = scan_bucket(bucket.client(Fault::Never), &database).unwrap();
    assert_eq!(summary.bucket.unwrap().noncurrent.unwrap().versions.count, 2);
    let of_scan = |column: &str| number(&database, &format!("SELECT {column} FROM scan_info"));
    assert_eq!(of_scan("noncurrent_version_count"), Some(2));
    assert_eq!(of_scan("noncurrent_version_bytes"), Some(5071));
    assert_eq!(of_scan("delete_marker_count"), Some(1));
    assert_eq!(of_scan("multipart_upload_bytes"), Some(700));
    // Whoever may not see them does not know that there are none.
    let denied = bucket.client(Fault::Once(4, BucketErrorKind::Denied));
    scan_bucket(denied, &database).unwrap();
    assert_eq!(of_scan("noncurrent_version_count"), None);
}

#[test]
fn a_blob_that_went_to_another_storage_class_is_seen_though_no_time_changed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    sample().0.write_to(&root).unwrap();
    let bucket = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
    upload_older(&root, &bucket, 3600);
    let database = directory.path().join("registry.db");
    scan_bucket(bucket.client(Fault::Never), &database).unwrap();
    let cold = "SELECT count(*) FROM blobs WHERE storage_class = 'GLACIER'";
    assert_eq!(number(&database, cold), Some(0));
    let blob = bucket.contents().into_keys().find(|key| key.ends_with("/data")).unwrap();
    bucket.set_class(&blob, "GLACIER");
    assert!(!scan_bucket(bucket.client(Fault::Never), &database).unwrap().is_unchanged);
    assert_eq!(number(&database, cold), Some(1));
    assert!(scan_bucket(bucket, &database).unwrap().is_unchanged);
}

/// Registries before version 3 answer 202 to deleting tag `1` beside `1-alpine` in S3, and the tag stays.
#[test]
fn a_command_is_given_for_a_tag_that_stayed_beside_another_and_never_one_with_names_of_people() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    let (mut registry, _) = sample();
    let link = format!("sha256:{}", "a".repeat(64));
    let bad = "x;reboot";
    for (repository, tags) in [
        ("bug/app", &["1", "1-alpine", "10", "2", "2.1", "3", "30", "3_a", "$(x)", "$(x)-y"][..]),
        (bad, &["1", "1-alpine"]),
    ] {
        for tag in tags {
            let path = paths::tag_current(repository, tag);
            registry.put(path, Content::Bytes(link.clone().into_bytes()));
        }
    }
    registry.write_to(&root).unwrap();
    let bucket = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
    upload(&root, &bucket);
    let database = directory.path().join("registry.db");
    scan_bucket(bucket, &database).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    let sql = "SELECT detail FROM problems WHERE code = 'tag-without-revision' ORDER BY detail";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let found: Vec<String> = found.map(Result::unwrap).collect();
    assert_eq!(found.len(), 12, "{found:#?}");
    let explained: Vec<_> = found.iter().filter(|detail| detail.contains("regsql prune")).collect();
    let [one, two] = explained[..] else { panic!("{found:#?}") };
    assert!(
        one.contains("beside one like 1-alpine") && one.contains("bug/app:1 deletes it"),
        "{one}"
    );
    assert!(two.contains("beside one like 2.1") && two.contains("bug/app:2 deletes it"), "{two}");
}
