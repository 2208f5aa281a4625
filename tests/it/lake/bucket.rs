//! A lake in a bucket: what engines go by comes last, and a broken upload is gone on with.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use regsql::lake::{self, Directory, ExportOptions, Exported, FileFormat, InBucket, LakeError};
use regsql::storage::object::BucketErrorKind;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider, Settings};
use walkdir::WalkDir;

use super::sample::{self, Sample};

fn bucket(provider: Provider) -> MemoryBucket {
    MemoryBucket::new("s3://lakes", Settings { page_size: 7, ..Settings::of(provider) })
}

fn export(database: &Path, registry: &str, bucket: MemoryBucket) -> Result<Exported, LakeError> {
    let stop = AtomicBool::new(false);
    let options = ExportOptions {
        database,
        registry: Some(registry),
        format: FileFormat::default(),
        part_rows: lake::PART_ROWS,
        threads: NonZeroUsize::new(2).unwrap(),
        stop: &stop,
    };
    lake::export(&options, &InBucket::new(Arc::new(bucket), "team/lake"))
}

/// What the same export writes into a directory.
fn in_directory(sample: &Sample, registry: &str) -> BTreeMap<String, Vec<u8>> {
    let path = sample.path().join("as-files");
    let stop = AtomicBool::new(false);
    let options = ExportOptions {
        database: &sample.database(),
        registry: Some(registry),
        format: FileFormat::default(),
        part_rows: lake::PART_ROWS,
        threads: NonZeroUsize::new(2).unwrap(),
        stop: &stop,
    };
    lake::export(&options, &Directory::new(&path)).unwrap();
    let files = WalkDir::new(&path).into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let below = entry.path().strip_prefix(&path).unwrap().to_str().unwrap();
        (format!("team/lake/{below}"), std::fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// Whether the views of an engine show a scan.
fn shows_a_scan(contents: &BTreeMap<String, Vec<u8>>) -> bool {
    contents.keys().any(|key| key.starts_with("team/lake/scan_info/") && key.ends_with(".parquet"))
}

/// Without the markers of a table, which only regsql reads.
fn read_by_engines(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, &[u8]> {
    let parts = contents.iter().filter(|(key, _)| key.ends_with(".parquet"));
    parts.map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect()
}

#[test]
fn a_bucket_holds_what_a_directory_would_and_a_second_export_changes_nothing() {
    let sample = sample::shop();
    let whole = in_directory(&sample, "acme");
    for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
        let bucket = bucket(provider);
        // Another registry's lake beside it is not looked at.
        bucket.write("team/lakes/notes.txt", b"mine");
        let exported = export(&sample.database(), "acme", bucket.client(Fault::Never)).unwrap();
        assert!(!exported.is_unchanged);
        bucket.remove("team/lakes/notes.txt");
        assert!(bucket.contents() == whole, "{provider:?}");
        let again = bucket.client(Fault::Never);
        assert!(export(&sample.database(), "acme", again).unwrap().is_unchanged);
        assert!(bucket.contents() == whole, "{provider:?}");
        // A part that went is written again, and what is none is removed.
        let part = whole.keys().find(|key| key.contains("/tags/")).unwrap();
        bucket.remove(part);
        bucket.write(&part.replace("part-0", "part-9"), b"of an older regsql");
        assert!(
            !export(&sample.database(), "acme", bucket.client(Fault::Never)).unwrap().is_unchanged
        );
        assert!(bucket.contents() == whole, "{provider:?}");
    }
}

#[test]
fn an_export_killed_at_any_request_shows_all_or_nothing_and_the_next_goes_on_with_it() {
    let sample = sample::shop();
    let whole = in_directory(&sample, "acme");
    let (mut nothing, mut everything) = (0, 0);
    // Each request of a table has its turn: tables are written in no fixed order.
    for moment in (0..).step_by(5) {
        let first = bucket(Provider::S3);
        let fault =
            if moment % 2 == 0 { Fault::KilledBefore(moment) } else { Fault::KilledAfter(moment) };
        let ended = export(&sample.database(), "acme", first.client(fault));
        let left = first.contents();
        if shows_a_scan(&left) {
            assert_eq!(read_by_engines(&left), read_by_engines(&whole), "killed at {moment}");
            everything += 1;
        } else {
            assert!(ended.is_err());
            nothing += 1;
        }
        if ended.is_ok() {
            break;
        }
        export(&sample.database(), "acme", first.client(Fault::Never)).unwrap();
        assert!(first.contents() == whole, "after the one killed at {moment}");
    }
    assert!(nothing > 12 && everything > 0, "{nothing} and {everything}");
}

#[test]
fn a_failing_request_ends_the_export_and_shows_nothing() {
    let sample = sample::shop();
    for kind in [BucketErrorKind::Denied, BucketErrorKind::Throttled, BucketErrorKind::Unavailable]
    {
        for every in [3, 7, 29] {
            let bucket = bucket(Provider::Azure);
            let ended =
                export(&sample.database(), "acme", bucket.client(Fault::Every(every, kind)));
            let error = ended.unwrap_err();
            assert!(error.to_string().contains("s3://lakes"), "{error}");
            assert!(!shows_a_scan(&bucket.contents()));
        }
    }
}

#[test]
fn a_bucket_of_something_else_is_refused_and_left_as_it_is() {
    let sample = sample::shop();
    let refused = |bucket: &MemoryBucket, reason: &str| {
        let before = bucket.contents();
        let error = export(&sample.database(), "acme", bucket.client(Fault::Never)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.hint().is_some(), "{error}");
        assert!(bucket.contents() == before);
    };
    let other = bucket(Provider::S3);
    other.write("team/lake/docker/registry/v2/blobs/x", b"a registry");
    refused(&other, "`s3://lakes/team/lake` is no lake of regsql's: it holds `docker`");
    let newer = bucket(Provider::S3);
    newer.write("team/lake/_regsql_lake.json", b"{\"format\":99}");
    refused(&newer, "made by a newer regsql");
    let text = bucket(Provider::S3);
    text.write("team/lake/_regsql_lake.json", b"{\"format\":1,\"files\":\"csv\"}");
    refused(&text, "holds csv, not parquet");
    // A lake in the storage of the very registry.
    let connection = rusqlite::Connection::open(sample.database()).unwrap();
    connection.execute("UPDATE scan SET root = 's3://lakes/team'", []).unwrap();
    refused(&bucket(Provider::S3), "lies inside the storage `s3://lakes/team`");
    connection.execute("UPDATE scan SET root = 's3://lakes/te'", []).unwrap();
    export(&sample.database(), "acme", bucket(Provider::S3)).unwrap();
}

#[test]
fn exports_at_once_meet_in_one_lake() {
    let sample = sample::shop();
    let whole = in_directory(&sample, "a");
    let bucket = bucket(Provider::Gcs);
    std::thread::scope(|scope| {
        for registry in ["a", "b", "a"] {
            let (client, database) = (bucket.client(Fault::Never), sample.database());
            scope.spawn(move || export(&database, registry, client).unwrap());
        }
    });
    let contents = bucket.contents();
    let of_a = contents.iter().filter(|(key, _)| !key.contains("registry=b"));
    assert!(of_a.eq(whole.iter()));
    assert_eq!(contents.len(), 2 * whole.len() - 1, "one marker of the lake");
}

#[test]
fn what_nobody_goes_on_with_is_removed_after_a_day_and_whole_scans_stay() {
    let sample = sample::shop();
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    let bucket = bucket(Provider::S3);
    bucket.set_now_ns(now - 25 * 3600 * 1_000_000_000);
    export(&sample.database(), "acme", bucket.client(Fault::Never)).unwrap();
    let whole = bucket.contents();
    sample.scan(&["--full"]);
    let broken = bucket.client(Fault::KilledAfter(60));
    export(&sample.database(), "acme", broken).unwrap_err();
    let young = bucket.contents();
    assert!(young.len() > whole.len());
    // Another registry's export leaves it alone, and so does one an hour later.
    export(&sample.database(), "other", bucket.client(Fault::Never)).unwrap();
    assert!(young.keys().all(|key| bucket.contents().contains_key(key)));
    sample.scan(&["--full"]);
    export(&sample.database(), "acme", bucket.client(Fault::Never)).unwrap();
    let contents = bucket.contents();
    assert!(whole.iter().all(|(key, bytes)| contents.get(key) == Some(bytes)));
    let left = young.keys().filter(|key| !whole.contains_key(*key) && contents.contains_key(*key));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<&String>::new());
}
