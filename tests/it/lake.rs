//! What `export` writes: files that engines read, all of a scan or nothing of it.

#[cfg(all(feature = "object-storage", feature = "parquet"))]
mod bucket;
mod destination;
mod engines;
mod parts;
mod sample;
mod threads;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use walkdir::WalkDir;

use crate::env::{regsql, shown};

/// Runs `export` with a database.
fn export(database: &Path, arguments: &[&str]) -> Output {
    let mut command = regsql();
    command.arg("--db").arg(database).arg("export").args(arguments);
    command.output().unwrap()
}

/// The same, which must succeed; what it says.
#[track_caller]
fn exports(database: &Path, lake: &Path, arguments: &[&str]) -> String {
    let mut all = vec![lake.to_str().unwrap()];
    all.extend(arguments);
    let output = export(database, &all);
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stderr).unwrap()
}

/// Every file that an engine would read, below the lake.
fn readable(lake: &Path) -> BTreeSet<PathBuf> {
    let files = WalkDir::new(lake).into_iter().map(|entry| entry.unwrap().into_path());
    let is_read =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet" || end == "csv");
    files.filter(is_read).map(|path| path.strip_prefix(lake).unwrap().to_owned()).collect()
}

/// The scans that are there whole: of which `scan_info`, the last to be published, has its marker.
fn whole_scans(lake: &Path) -> BTreeSet<PathBuf> {
    let markers = WalkDir::new(lake.join("scan_info")).into_iter().flatten();
    let markers = markers.filter(|entry| entry.file_name() == "_SUCCESS");
    markers.map(|entry| entry.path().parent().unwrap().to_owned()).collect()
}

/// The one scan's file of a table.
fn part(lake: &Path, table: &str) -> SerializedFileReader<File> {
    let files = readable(lake);
    let mut of_table = files.iter().filter(|path| path.starts_with(table));
    let path = of_table.next().unwrap();
    assert_eq!(of_table.next(), None, "one part of one scan");
    SerializedFileReader::new(File::open(lake.join(path)).unwrap()).unwrap()
}

#[test]
fn columns_are_typed_and_named_as_in_the_views() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    let schema = |table: &str| {
        let reader = part(&lake, table);
        let descriptor = reader.metadata().file_metadata().schema_descr_ptr();
        let columns = descriptor.columns().iter();
        let columns = columns.map(|column| {
            let kind = match column.logical_type_ref() {
                Some(logical) => format!("{logical:?}"),
                None => format!("{:?}({})", column.physical_type(), column.type_length()),
            };
            format!("{} {kind}", column.name())
        });
        columns.collect::<Vec<_>>().join("\n")
    };
    let time = "Timestamp(TimestampType { is_adjusted_to_u_t_c: true, unit: MICROS })";
    let tags = schema("tags");
    for column in [
        "repository String",
        "manifest_id INT64(-1)",
        "manifest_digest FIXED_LEN_BYTE_ARRAY(32)",
        "other_manifest_digest String",
        &format!("pushed_at {time}"),
        "is_broken BOOLEAN(-1)",
    ] {
        assert!(tags.lines().any(|line| line == column), "{column} is not in\n{tags}");
    }
    let references = schema("manifest_references");
    assert!(
        references.starts_with("manifest_id INT64(-1)\nposition INT64(-1)\nrole String\nblob_id")
    );
    assert_eq!(schema("reach"), "repository String\nblob_id INT64(-1)");
    assert_eq!(schema("edges"), "from_id INT64(-1)\nto_id INT64(-1)");
    let reader = part(&lake, "blobs");
    let group = reader.metadata().row_group(0);
    for column in group.columns() {
        assert_eq!(column.compression(), parquet::basic::Compression::SNAPPY);
    }
    let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let digest = row.get_column_iter().find(|(name, _)| *name == "digest").unwrap().1;
    let parquet::record::Field::Bytes(digest) = digest else { panic!("{digest:?}") };
    assert_eq!(digest.len(), 32);
}

#[test]
fn csv_says_the_same_in_text() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    exports(&sample.database(), &lake, &["--registry", "acme", "--format", "csv"]);
    let files = readable(&lake);
    let tags = files.iter().find(|path| path.starts_with("tags")).unwrap();
    let mut reader = csv::Reader::from_path(lake.join(tags)).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let (tag, digest, pushed) = (at("tag"), at("manifest_digest"), at("pushed_at"));
    assert!(!names.iter().any(|name| name.starts_with("other_")), "{names:?}");
    let connection = rusqlite::Connection::open(sample.database()).unwrap();
    let mut count = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let expected: Option<String> = connection
            .query_row(
                "SELECT manifest_digest FROM tags WHERE repository = ?1 AND tag = ?2",
                [&record[at("repository")], &record[tag]],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(&record[digest], expected.unwrap_or_default());
        assert!(record[pushed].is_empty() || record[pushed].ends_with('Z'), "{record:?}");
        count += 1;
    }
    assert!(count > 3);
}
