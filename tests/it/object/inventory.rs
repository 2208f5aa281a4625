//! Inventories: what a provider's own list of a bucket shows is what listing shows, and one that is not whole, not of
//! this bucket or not understood makes no snapshot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regsql::model::progress::Hidden;
use regsql::snapshot::scan_storage;
use regsql::storage::object::inventory::Inventory;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider as Rules, Settings};
use regsql::storage::object::s3::S3Options;
use regsql::storage::object::{Bucket, BucketError, Object, ObjectStorage};
use regsql::storage::{AnyStorage, ObjectPlace, Provider};
use serde_json::{Value, json};

use super::bucket::{PREFIX, sample};
use super::made::{self, Column, Form, Made, S3_COLUMNS, row_of_s3};
use super::scan::{options, write_tree};
use crate::env::{regsql, shown};
use crate::rescan::content;

/// A registry in a bucket of memory, and a directory for its inventories.
struct Daily {
    bucket: MemoryBucket,
    directory: tempfile::TempDir,
}

impl Daily {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        sample().0.write_to(&root).unwrap();
        let bucket = MemoryBucket::new("s3://b", Settings::of(Rules::S3));
        write_tree(&root, &bucket);
        Self { bucket, directory }
    }

    fn objects(&self) -> Vec<Object> {
        let objects = super::servers::objects(&self.bucket, "");
        assert!(objects.len() > 20, "{}", objects.len());
        objects
    }

    /// The inventory of these objects, as S3 makes it, after `edit`.
    fn made(&self, form: Form, objects: &[Object], edit: &dyn Fn(&mut Made)) -> PathBuf {
        let mut made = made::s3("b", form, objects, self.bucket.now_ns());
        edit(&mut made);
        let directory = self.directory.path().join("copied");
        fs::remove_dir_all(&directory).ok();
        made.write_below(&directory)
    }

    fn scan(&self, manifest: &Path, name: &str) -> Result<PathBuf, String> {
        let database = self.directory.path().join(name);
        let place = place("b");
        let read = || -> Result<(), Box<dyn std::error::Error>> {
            let inventory = Inventory::open(manifest.to_str().unwrap(), &place)?;
            let client = Arc::new(self.bucket.client(Fault::Never));
            let storage = ObjectStorage::new(client as Arc<dyn Bucket>, PREFIX);
            let storage = AnyStorage::Object(Box::new(storage.with_inventory(inventory)));
            scan_storage(&options(&database), &*storage, &Hidden)?;
            Ok(())
        };
        read().map(|()| database).map_err(|error| text_of(&*error))
    }

    fn listed(&self) -> PathBuf {
        let database = self.directory.path().join("listed.db");
        let client = Arc::new(self.bucket.client(Fault::Never)) as Arc<dyn Bucket>;
        let storage = AnyStorage::Object(Box::new(ObjectStorage::new(client, PREFIX)));
        scan_storage(&options(&database), &*storage, &Hidden).unwrap();
        database
    }
}

/// An error with its causes and the next step.
fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        text.push('\n');
        let bucket_error = error.downcast_ref::<BucketError>().or_else(|| {
            let error = error.downcast_ref::<std::io::Error>()?;
            error.get_ref()?.downcast_ref::<BucketError>()
        });
        if let Some(error) = bucket_error {
            let hint = error.hint.as_deref().unwrap_or("none");
            text = format!("{text}{error}\nhint: {hint}\n");
        }
        next = error.source();
    }
    text
}

fn place(bucket: &str) -> ObjectPlace {
    let options = S3Options { bucket: bucket.to_owned(), ..S3Options::default() };
    ObjectPlace { provider: Provider::S3(Box::new(options)), prefix: PREFIX.to_owned() }
}

fn number(database: &Path, sql: &str) -> Option<i64> {
    rusqlite::Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_inventory_shows_what_a_listing_shows_in_any_order_and_form() {
    let daily = Daily::new();
    let below = |key: &str| format!("{PREFIX}docker/registry/v2/{key}");
    // Keys of people: some are findings, and all are read as they are.
    for key in ["repositories/a//x", "repositories/a/..", "repositories/a, \"b\"+c %41/é\u{1}"] {
        daily.bucket.write(&below(key), b"x");
    }
    daily.bucket.write("elsewhere/x", b"x");
    daily.bucket.set_class(&daily.objects()[3].key, "GLACIER");
    let listed = content(&daily.listed());
    let mut objects = daily.objects();
    for form in [Form::Csv, Form::Parquet] {
        // Rows come in no order, and the same row twice is one.
        objects.reverse();
        objects.push(objects[0].clone());
        let manifest = daily.made(form, &objects, &|_| ());
        let name = format!("{form:?}.db");
        let database = daily.scan(&manifest, &name).unwrap();
        assert_eq!(content(&database), listed, "{form:?}");
        let made_at = "SELECT unixepoch(inventory_at) FROM scan_info";
        assert_eq!(number(&database, made_at), Some(daily.bucket.now_ns() / 1_000_000_000));
        assert_eq!(number(&database, "SELECT noncurrent_version_count FROM scan_info"), None);
        // The same once more is unchanged; a listing takes its place and says so.
        daily.scan(&manifest, &name).unwrap();
        assert_eq!(number(&database, "SELECT count(*) FROM scan_history"), Some(2));
    }
}

#[test]
fn of_all_versions_only_the_latest_count_and_the_others_are_counted() {
    let daily = Daily::new();
    let listed = content(&daily.listed());
    let versions =
        |made: &mut Made| {
            let names = ["version_id", "is_latest", "is_delete_marker"];
            made.columns.extend(names.map(|name| {
                Column::of(name, if name == "version_id" { "binary" } else { "boolean" })
            }));
            for row in &mut made.rows {
                row.extend([Some("v2".into()), Some("true".into()), Some("false".into())]);
            }
            let mut old = made.rows[0].clone();
            (old[2], old[3]) = (Some("77".into()), Some("2025-01-01T00:00:00.000Z".into()));
            let mut gone = made.rows[1].clone();
            gone[1] = Some(format!("{PREFIX}docker/registry/v2/blobs/sha256/aa/gone/data").into());
            let mut marker = gone.clone();
            (marker[2], marker[4]) = (None, None);
            for (row, latest, deleted) in [
                (&mut old, "false", "false"),
                (&mut gone, "false", "false"),
                (&mut marker, "true", "true"),
            ] {
                let at = row.len() - 2;
                (row[at], row[at + 1]) = (Some(latest.into()), Some(deleted.into()));
            }
            made.rows.extend([old, gone, marker]);
        };
    for form in [Form::Csv, Form::Parquet] {
        let manifest = daily.made(form, &daily.objects(), &versions);
        let database = daily.scan(&manifest, "versions.db").unwrap();
        assert_eq!(content(&database), listed, "{form:?}");
        assert_eq!(number(&database, "SELECT noncurrent_version_count FROM scan_info"), Some(2));
        assert_eq!(number(&database, "SELECT delete_marker_count FROM scan_info"), Some(1));
        fs::remove_file(database).unwrap();
    }
}

type Fault_<'a> = (&'a str, &'a dyn Fn(&mut Made), &'a str);

#[test]
fn an_inventory_that_is_not_whole_or_not_understood_is_refused_with_what_to_do() {
    let daily = Daily::new();
    let objects = daily.objects();
    let set = |name: &'static str, value: Value| {
        move |made: &mut Made| {
            made.after.push(Box::new({
                let value = value.clone();
                move |files| files.edit_manifest(&|manifest| manifest[name] = value.clone())
            }));
        }
    };
    let after = |made: &mut Made, edit: fn(&mut made::Files)| made.after.push(Box::new(edit));
    let foreign = set("sourceBucket", json!("other"));
    let orc = set("fileFormat", json!("ORC"));
    let unknown = set("fileFormat", json!("Avro"));
    let version = set("version", json!("2030-01-01"));
    let faults: &[Fault_<'_>] = &[
        ("another bucket", &foreign, "s3://other"),
        ("ORC", &orc, "reads no ORC"),
        ("a format that is not known", &unknown, "`Avro`"),
        ("a version that is not known", &version, "2030"),
        (
            "no checksum",
            &|made| after(made, |files| files.remove("manifest.checksum")),
            "not complete yet",
        ),
        (
            "a wrong checksum",
            &|made| after(made, |files| files.set("manifest.checksum", b"00")),
            "MD5",
        ),
        (
            "a file that is missing",
            &|made| after(made, |files| files.remove("1.csv.gz")),
            "is not there",
        ),
        ("a byte that changed", &|made| after(made, |files| files.flip("1.csv.gz")), "MD5"),
        ("a file that is cut", &|made| after(made, |files| files.cut("1.csv.gz")), "bytes"),
        (
            "a compressed file that is cut",
            &|made| {
                after(made, |files| {
                    files.cut("1.csv.gz");
                    files.make_sums_right();
                });
            },
            "ends early",
        ),
        (
            "a manifest that is cut",
            &|made| after(made, |files| files.cut("manifest.json")),
            "no manifest",
        ),
        ("a row with fewer columns", &|made| drop(made.rows.last_mut().unwrap().pop()), "columns"),
        ("no size", &|made| made.rename("size", "length"), "Size"),
        ("the same column twice", &|made| made.rename("storage_class", "size"), "twice"),
        ("a row of another bucket", &|made| made.rows[5][0] = Some("other".into()), "`other`"),
        ("a row without a key", &|made| made.rows[5][1] = None, "no key"),
        ("a size that is none", &|made| made.rows[5][2] = Some("-1".into()), "no size"),
        ("a time that is none", &|made| made.rows[5][3] = Some("yesterday".into()), "no time"),
        (
            "a key with two sizes",
            &|made| {
                let mut row = made.rows[5].clone();
                row[2] = Some("1234567".into());
                made.rows.push(row);
            },
            "twice",
        ),
        (
            "only blobs",
            &|made| made.rows.retain(|row| !row_text(row, 1).contains("/repositories/")),
            "part",
        ),
        (
            "nothing of it",
            &|made| made.rows.retain(|row| !row_text(row, 1).contains("docker")),
            "nothing",
        ),
        ("no rows at all", &|made| made.rows.clear(), "nothing"),
    ];
    for (fault, edit, words) in faults {
        let manifest = daily.made(Form::Csv, &objects, edit);
        let text = daily.scan(&manifest, "refused.db").expect_err(fault);
        assert!(text.contains(words), "{fault}: {text}");
        assert!(text.contains("hint: ") && !text.contains("hint: none"), "{fault}: {text}");
        assert!(!daily.directory.path().join("refused.db").exists(), "{fault}");
    }
    // The same of Parquet, where bytes mean less by themselves.
    for (fault, edit) in [
        ("noise", (|files| files.set("0.parquet", &[7; 3000])) as fn(&mut made::Files)),
        ("cut", |files| files.cut("0.parquet")),
        ("flipped", |files| files.flip("0.parquet")),
    ] {
        let manifest = daily.made(Form::Parquet, &objects, &|made| {
            after(made, edit);
            after(made, made::Files::make_sums_right);
        });
        let read = daily.scan(&manifest, "refused.db");
        assert!(read.is_err() || fault == "flipped", "{fault}");
        fs::remove_file(daily.directory.path().join("refused.db")).ok();
    }
}

/// Rows are held until they are sorted: sixty thousand of a megabyte each would be more memory than a machine has.
#[test]
fn no_row_holds_more_than_what_a_provider_writes() {
    let daily = Daily::new();
    let objects = daily.objects();
    for (column, length, words) in [
        (1, 12_289, "a key of 12289 bytes"),
        (4, 1 << 20, "has 1048576 bytes"),
        (5, 1025, "has 1025 bytes"),
    ] {
        for form in [Form::Csv, Form::Parquet] {
            let manifest = daily.made(form, &objects, &|made| {
                made.rows[5][column] = Some("e".repeat(length).into());
            });
            let text = daily.scan(&manifest, "refused.db").expect_err(words);
            assert!(text.contains(words), "{form:?}: {text}");
        }
    }
    // It has an end of a line in each byte, and no row ends there.
    let manifest = daily.made(Form::Csv, &objects, &|made| {
        made.rows[5][5] = Some("\n".repeat(2 << 20).into());
    });
    let text = daily.scan(&manifest, "refused.db").expect_err("a value that does not end");
    assert!(text.contains("a row is too long"), "{text}");
    // As long as may be.
    let manifest = daily.made(Form::Csv, &objects, &|made| {
        (made.rows[5][4], made.rows[5][5]) = (Some("e".repeat(1024).into()), None);
    });
    daily.scan(&manifest, "taken.db").unwrap();
}

/// A registry that goes on with an upload copies what it has into a multipart upload of the same key, and one that was
/// killed meanwhile leaves both.
#[test]
fn an_upload_beside_an_object_or_another_upload_of_its_key_is_no_contradiction() {
    let daily = Daily::new();
    let [both, twice] =
        ["0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10", "11111111-6d1f-4f0e-8b57-3a4e2f1d9c10"];
    let key = |id: &str| format!("{PREFIX}docker/registry/v2/repositories/a/_uploads/{id}/data");
    let objects = daily.objects();
    assert!(objects.iter().any(|object| object.key == key(both)), "{objects:#?}");
    daily.bucket.start_upload(&key(both), 700);
    for size_bytes in [300, 200] {
        daily.bucket.pass_seconds(60);
        daily.bucket.start_upload(&key(twice), size_bytes);
    }
    for form in [Form::Csv, Form::Parquet] {
        let manifest = daily.made(form, &objects, &|_| ());
        let database = daily.scan(&manifest, "uploads.db").unwrap();
        let size = |id: &str| {
            number(&database, &format!("SELECT size_bytes FROM upload WHERE upload_id = '{id}'"))
        };
        assert_eq!((size(both), size(twice)), (Some(10), Some(200)), "{form:?}");
        fs::remove_file(database).unwrap();
    }
}

fn row_text(row: &[Option<made::Text>], column: usize) -> String {
    row[column].as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn what_is_no_inventory_ends_with_exit_code_2_and_an_older_one_takes_no_place() {
    let daily = Daily::new();
    let database = daily.directory.path().join("registry.db");
    let scan = |storage: &str, manifest: &Path| {
        let mut command = regsql();
        command.arg("--db").arg(&database).args(["scan", storage, "--inventory"]).arg(manifest);
        command.env("AWS_ACCESS_KEY_ID", "k").env("AWS_SECRET_ACCESS_KEY", "s");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains("hint:"), "{}", shown(&output));
        shown(&output)
    };
    let address = format!("s3://b/{PREFIX}?endpoint=http://127.0.0.1:1");
    let missing = daily.directory.path().join("manifest.json");
    assert!(scan(&address, &missing).contains("manifest.json"));
    fs::write(&missing, "{\"a\": 1}").unwrap();
    assert!(scan(&address, &missing).contains("no manifest"));
    let root = daily.directory.path().join("registry");
    assert!(scan(root.to_str().unwrap(), &missing).contains("no bucket"));
    let cut = daily.made(Form::Csv, &daily.objects(), &|made| {
        made.after.push(Box::new(|files| files.flip("0.csv.gz")));
    });
    assert!(scan(&address, &cut).contains("0.csv.gz"));
    assert!(!database.exists());

    // What was listed since is newer.
    let manifest = daily.made(Form::Csv, &daily.objects(), &|_| ());
    fs::copy(daily.listed(), &database).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute("UPDATE scan SET root = ?1", [address.replace("/?", "?")]).unwrap();
    drop(connection);
    let before = content(&database);
    assert!(scan(&address, &manifest).contains("the scan in the database is of"));
    assert_eq!(content(&database), before);

    // By one of the time to come, all that are made until then would be older.
    let now_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    daily.bucket.set_now_ns(now_ns + 2 * 3600 * 1_000_000_000);
    let manifest = daily.made(Form::Csv, &daily.objects(), &|_| ());
    let said = scan(&address, &manifest);
    assert!(said.contains("by this machine's clock") && said.contains("check the clock"), "{said}");
    assert_eq!(content(&database), before);
}

/// Rows in no order, in several files and runs.
#[test]
fn a_large_inventory_in_any_order_is_one_table() {
    let daily = Daily::new();
    let mut made = made::s3("b", Form::Csv, &daily.objects(), daily.bucket.now_ns());
    made.rows_of_a_file = 20_000;
    for number in 0..150_000_u64 {
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let key = format!(
            "{PREFIX}docker/registry/v2/blobs/sha256/{:02x}/{hash:016x}{:048x}/data",
            hash >> 56,
            number
        );
        let object = Object {
            key,
            // Too large for a manifest, so that none is read.
            size_bytes: number + (1 << 30),
            modified_ns: daily.bucket.now_ns(),
            etag: None,
            md5: None,
            version: None,
            storage_class: Some("STANDARD".to_owned()),
        };
        made.rows.push(row_of_s3("b", &object));
    }
    assert_eq!(made.columns.len(), S3_COLUMNS.len());
    let manifest = made.write_below(&daily.directory.path().join("large"));
    let database = daily.scan(&manifest, "large.db").unwrap();
    let orphans =
        number(&database, "SELECT count(*) FROM orphan_blobs WHERE size_bytes >= 1 << 30");
    assert_eq!(orphans, Some(150_000));
}
