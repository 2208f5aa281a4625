//! Registries in real servers of object storage: every view is what it is of the same pushes on disk.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::made::{self, Form};
use super::servers::{BUCKET, Kind, Server, objects, upload};
use crate::env::{regsql, shown};
use crate::real::known::Known;
use crate::real::layout::Image;
use crate::real::registry::Registry;
use crate::real::snapshot::VIEWS;
use crate::real::{http, pushes};

/// What all keys begin with.
const PREFIX: &str = "team/registry/";

/// What two registries differ in that got the same pushes one after the other: when each thing was pushed, and
/// the ids of uploads, which the registry makes up. Files have no storage class.
fn is_of_the_push(view: &str, column: &str) -> bool {
    if (view, column) == ("blobs", "storage_class") {
        return true;
    }
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

#[track_caller]
fn every_blob_has_a_class(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let sql = "SELECT count(*), count(storage_class) FROM blobs WHERE is_present";
    let (blobs, classes): (i64, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(blobs > 0 && blobs == classes, "{classes} of {blobs}");
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

/// The inventories that the provider would make of the bucket show what was listed.
fn is_seen_by_inventory(server: &Server, listed: &Path) {
    let bucket = server.bucket();
    let all = objects(&*bucket, "");
    let now_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    for form in [Form::Csv, Form::Parquet] {
        let key = made::of_server(server, form, &all, now_ns).put_into(&*bucket);
        let database = listed.with_file_name("inventory.db");
        let mut command = regsql();
        command.arg("--db").arg(&database).args(["scan", "--inventory", &server.url(&key)]);
        let output = command.arg(server.url(PREFIX)).envs(server.variables()).output().unwrap();
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(0), "{form:?}: {text}");
        assert!(
            text.contains("from an inventory of") && text.contains("prune lists again"),
            "{text}"
        );
        assert_equal(listed, &database, &|_, _| false);
        let connection = Connection::open(&database).unwrap();
        let sql =
            "SELECT inventory LIKE '%manifest.json' AND inventory_at IS NOT NULL FROM scan_info";
        assert!(connection.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap());
        // Nothing is planned by it.
        let mut command = regsql();
        command.arg("--db").arg(&database).args(["prune", "--garbage", "--trust-storage"]);
        let output = command.envs(server.variables()).output().unwrap();
        assert!(shown(&output).contains("listing the storage"), "{}", shown(&output));
        let sql = "SELECT inventory IS NULL FROM scan_info";
        let connection = Connection::open(&database).unwrap();
        assert!(connection.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap());
        std::fs::remove_file(database).unwrap();
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

fn verify(database: &Path, server: &Server, more: &[&str]) -> String {
    let mut command = regsql();
    command.arg("--db").arg(database).args(["verify", "--content", "--fail-on=never"]).args(more);
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
    every_blob_has_a_class(&bucket);
    if kind == Kind::Moto {
        is_seen_by_inventory(&server, &bucket);
    }

    // The registry's own configuration leads to the same place, with the keys that it has.
    let config = in_bucket.registry.config();
    let again = scan(&bucket, config.to_str().unwrap(), None);
    assert!(again.contains("nothing has changed"), "{again}");
    let read = verify(&bucket, &server, &[]);
    assert!(read.contains(" 0 not"), "{read}");
    let part = verify(&bucket, &server, &["--subset=1/3", "--max-rate=100MB"]);
    assert!(part.contains(" 0 not") && !part.contains("read 0 of"), "{part}");
    if kind == Kind::SeaweedFs {
        what_keeps_regsql_out_is_said(&server);
    } else {
        what_the_provider_proves_is_not_read(&server, &bucket);
        a_tag_that_the_registry_only_says_it_deleted_is_a_finding(&server, &in_bucket.registry);
    }
}

/// The sha256 that a client sent with an object, and that the server compared.
fn what_the_provider_proves_is_not_read(server: &Server, database: &Path) {
    let bucket = server.bucket();
    let address = server.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let blobs = objects(&*bucket, &format!("{PREFIX}docker/registry/v2/blobs/"));
    let (with, without) = blobs.split_at(blobs.len() / 2);
    assert!(!with.is_empty() && !without.is_empty());
    for blob in with {
        let bytes = bucket.get(&blob.key, None, None).unwrap();
        let sha256 = BASE64_STANDARD.encode(<[u8; 32]>::from(Sha256::digest(&bytes)));
        // The server compares the checksum and no signature.
        let signed = "AWS4-HMAC-SHA256 Credential=k/20261126/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";
        let headers = [
            ("Authorization", signed),
            ("x-amz-checksum-sha256", &*sha256),
            ("x-amz-sdk-checksum-algorithm", "SHA256"),
        ];
        let path = format!("/{BUCKET}/{}", blob.key);
        let answer = http::request(address, "PUT", &path, &headers, &bytes).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    scan(database, &server.url(PREFIX), Some(server));
    // It is not Amazon's: what it says may be what it was once told.
    let all = format!("read {0} of {0} blobs", blobs.len());
    let read = verify(database, server, &[]);
    assert!(read.contains(&all) && read.contains(" 0 not"), "{read}");
    scan(database, &server.url(PREFIX), Some(server));
    let read = verify(database, server, &["--trust-checksums=any"]);
    // Those with a name of sha512, too, are read all the same.
    let proven: usize = read
        .lines()
        .find_map(|line| line.split_once(" blobs were not read: the sha256")?.0.trim().parse().ok())
        .unwrap_or_else(|| panic!("{read}"));
    assert!(proven > 0 && proven <= with.len(), "{proven} of {}", with.len());
    let counted = format!("read {} of {} blobs", blobs.len() - proven, blobs.len());
    assert!(read.contains(&counted) && read.contains(" 0 not"), "{read}");
    let connection = Connection::open(database).unwrap();
    let sql = "SELECT count(*) FROM blobs WHERE is_present AND verified_at IS NULL";
    assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

/// Registries before version 3 in S3 answer 202 to deleting tag `1` beside `1-alpine`, and the tag stays.
fn a_tag_that_the_registry_only_says_it_deleted_is_a_finding(server: &Server, registry: &Registry) {
    let images: Vec<Image> =
        ["one", "two", "three", "four"].iter().map(|text| Image::of(&[text.as_bytes()])).collect();
    for (image, tag) in images.iter().zip(["1", "1-alpine", "2", "2.1"]) {
        pushes::put(registry, "bug/app", tag, image);
    }
    registry.delete_manifest("bug/app", &images[0].digest());
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("registry.db");
    let run = |arguments: &[&str], code: i32| {
        let mut command = regsql();
        command.arg("--db").arg(&database).args(arguments).envs(server.variables());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
        shown(&output)
    };
    let storage = server.url(PREFIX);
    run(&["scan", &storage], 0);
    let found = run(
        &["sql", "SELECT code, detail FROM problems WHERE repository = 'bug/app'", "--format=csv"],
        0,
    );
    assert!(
        found.contains("tag-without-revision") && found.contains("beside one like 1-alpine"),
        "{found}"
    );
    assert!(found.contains("regsql prune --target bug/app:1 deletes it"), "{found}");

    // Deleting the other one by regsql through the registry is told as what it is.
    let url = format!("http://{}", registry.address());
    let target = ["prune", "--target=bug/app:2", "--min-age=0s", "--delete", "--yes"];
    let shown = run(&[&target[..], &["--via-api", &url]].concat(), 1);
    assert!(shown.contains("still lists it") && shown.contains("2.1"), "{shown}");

    // What is said to help helps.
    let there = || {
        let keys =
            objects(&*server.bucket(), &format!("{PREFIX}docker/registry/v2/repositories/bug/"));
        let is_of = |tag: &str| keys.iter().any(|key| key.key.contains(&format!("/tags/{tag}/")));
        ["1", "1-alpine", "2", "2.1"].map(is_of)
    };
    assert_eq!(there(), [true; 4]);
    for tag in ["1", "2"] {
        let target = format!("--target=bug/app:{tag}");
        run(
            &[
                "prune",
                &target,
                "--min-age=0s",
                "--delete",
                "--yes",
                "--offline",
                "--trust-storage",
            ],
            0,
        );
    }
    assert_eq!(there(), [false, true, false, true]);
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
            || (view, column) == ("blobs", "storage_class")
    };
    assert_equal(&files, &objects_db, &skip);
    every_blob_has_a_class(&objects_db);
    is_seen_by_inventory(&server, &objects_db);

    let again = scan(&objects_db, &server.url(PREFIX), Some(&server));
    assert!(again.contains("nothing has changed"), "{again}");
    let read = verify(&objects_db, &server, &[]);
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
