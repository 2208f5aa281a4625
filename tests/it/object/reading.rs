//! Registries in real servers of object storage: every view is what it is of the same pushes on disk.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::servers::{Kind, Server, objects, upload};
use crate::env::{regsql, shown};
use crate::real::known::Known;
use crate::real::registry::Registry;
use crate::real::snapshot::VIEWS;

/// What all keys begin with.
const PREFIX: &str = "team/registry/";

/// What two registries differ in that got the same pushes one after the other: when each thing was pushed, and
/// the ids of uploads, which the registry makes up.
fn is_of_the_push(view: &str, column: &str) -> bool {
    column.ends_with("_at") && (view, column) != ("manifests", "created_at")
        || (view, column) == ("uploads", "upload_id")
}

/// The rows of all views, without the columns that `skip` names.
fn rows(database: &Path, skip: &dyn Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let connection = Connection::open(database).unwrap();
    let mut rows = BTreeSet::new();
    for view in VIEWS.into_iter().chain(["reclaimable"]) {
        let mut statement = connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
        let columns: Vec<String> = statement.column_names().iter().map(|n| (*n).into()).collect();
        let mut found = statement.query([]).unwrap();
        let mut number = 0;
        while let Some(row) = found.next().unwrap() {
            let mut text = format!("{view}:");
            for (at, column) in columns.iter().enumerate().filter(|(_, name)| !skip(view, name)) {
                let value: rusqlite::types::Value = row.get(at).unwrap();
                text = format!("{text} {column}={value:?}");
            }
            // Rows that are equal without what is skipped are counted.
            while !rows.insert(format!("{text} #{number}")) {
                number += 1;
            }
        }
    }
    rows
}

#[track_caller]
fn assert_equal(files: &Path, bucket: &Path, skip: &dyn Fn(&str, &str) -> bool) {
    let (files, bucket) = (rows(files, skip), rows(bucket, skip));
    assert!(files.len() > 300, "{}", files.len());
    let missing: Vec<_> = files.difference(&bucket).collect();
    let added: Vec<_> = bucket.difference(&files).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing {missing:#?}, added {added:#?}");
}

/// A bucket has none: what a deletion leaves of a repository on disk is not there to be seen.
fn remove_empty_directories(root: &Path) {
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        let entry = entry.unwrap();
        if entry.file_type().is_dir() {
            // One that is not empty stays.
            std::fs::remove_dir(entry.path()).ok();
        }
    }
}

fn scan(database: &Path, storage: &str, server: Option<&Server>) -> String {
    let mut command = regsql();
    command.arg("--db").arg(database).args(["scan", storage]);
    command.envs(server.iter().flat_map(|server| server.variables()));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    String::from_utf8(output.stderr).unwrap()
}

fn verify(database: &Path, server: &Server) -> String {
    let mut command = regsql();
    command.arg("--db").arg(database).args(["verify", "--content", "--fail-on=never"]);
    let output = command.envs(server.variables()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    String::from_utf8(output.stderr).unwrap()
}

/// Debian's registry stores in S3 itself.
fn pushed_into_s3(kind: Kind) {
    let server = Server::start(kind);
    let on_disk = Known::full();
    let registry = Registry::start_with(|config| {
        let (before, rest) = config.split_once("storage:\n").unwrap();
        let (_, after) = rest.split_once("http:\n").unwrap();
        format!("{before}{}http:\n{after}", server.storage_section(PREFIX.trim_end_matches('/')))
    });
    let in_bucket = Known::full_in(registry);
    let directory = tempfile::tempdir().unwrap();
    let [files, bucket] = ["files.db", "bucket.db"].map(|name| directory.path().join(name));
    remove_empty_directories(&on_disk.registry.root());
    scan(&files, on_disk.registry.root().to_str().unwrap(), None);
    scan(&bucket, &server.url(PREFIX), Some(&server));
    assert_equal(&files, &bucket, &is_of_the_push);

    // The registry's own configuration leads to the same place, with the keys that it has.
    let config = in_bucket.registry.config();
    let again = scan(&bucket, config.to_str().unwrap(), None);
    assert!(again.contains("nothing has changed"), "{again}");
    let read = verify(&bucket, &server);
    assert!(read.contains(" 0 not"), "{read}");
    if kind == Kind::SeaweedFs {
        what_keeps_regsql_out_is_said(&server);
    }
}

/// Each with the next step, exit code 2 and no database. `SeaweedFS` checks keys, which moto does not.
fn what_keeps_regsql_out_is_said(server: &Server) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("registry.db");
    let endpoint = server.endpoint();
    let there = server.url(PREFIX);
    let no_bucket = format!("s3://no-such-bucket?endpoint={endpoint}");
    let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let [wrong_secret, wrong_key] = ["k", "unknown"]
        .map(|key| [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "not-the-secret")]);
    for (address, variables, word) in [
        (&there, &wrong_secret[..], "SignatureDoesNotMatch"),
        (&there, &wrong_key, "InvalidAccessKeyId"),
        (&there, &keys[..1], "AWS_SECRET_ACCESS_KEY is not"),
        (&there, &[], "no credentials"),
        (&no_bucket, &keys, "NoSuchBucket"),
        (&server.url("nowhere"), &keys, "nothing lies here"),
        (&server.url("team"), &keys, "registry/"),
        (&"s3://b?endpoint=http://127.0.0.1:1".to_owned(), &keys, "127.0.0.1"),
    ] {
        let mut command = regsql();
        command.arg("--db").arg(&database).args(["scan", address]).envs(variables.to_vec());
        let output = command.output().unwrap();
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(2), "{address}: {text}");
        assert!(text.contains(word) && text.contains("hint:"), "{address}: {text}");
        assert!(!text.contains("not-the-secret"), "{text}");
        assert!(!database.exists(), "{address}");
    }
}

#[test]
fn what_a_registry_pushed_into_s3_is_seen_as_on_disk_with_moto() {
    pushed_into_s3(Kind::Moto);
}

#[test]
fn what_a_registry_pushed_into_s3_is_seen_as_on_disk_with_seaweedfs() {
    pushed_into_s3(Kind::SeaweedFs);
}

/// No registry of Debian stores in Azure or Google's cloud: the same tree is put there key by key.
fn uploaded(kind: Kind) {
    let server = Server::start(kind);
    let known = Known::full();
    let root = known.registry.root();
    remove_empty_directories(&root);
    let bucket = server.bucket();
    upload(&root, &*bucket, PREFIX);
    let directory = tempfile::tempdir().unwrap();
    let [files, objects_db] = ["files.db", "objects.db"].map(|name| directory.path().join(name));
    scan(&files, root.to_str().unwrap(), None);
    scan(&objects_db, &server.url(PREFIX), Some(&server));
    let skip = |view: &str, column: &str| {
        column.ends_with("_at") && (view, column) != ("manifests", "created_at")
    };
    assert_equal(&files, &objects_db, &skip);

    let again = scan(&objects_db, &server.url(PREFIX), Some(&server));
    assert!(again.contains("nothing has changed"), "{again}");
    let read = verify(&objects_db, &server);
    assert!(read.contains(" 0 not"), "{read}");
    assert!(!objects(&*bucket, PREFIX).is_empty());
}

#[test]
fn a_registry_uploaded_to_azure_is_seen_as_on_disk() {
    uploaded(Kind::Azurite);
}

#[test]
fn a_registry_uploaded_to_google_is_seen_as_on_disk() {
    uploaded(Kind::FakeGcs);
}
