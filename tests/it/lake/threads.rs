//! Several threads write an export.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use regsql::lake::{self, Directory, ExportOptions, Exported, FileFormat, LakeError};

use super::{readable, sample};

fn export(database: &Path, lake: &Path, threads: usize) -> Result<Exported, LakeError> {
    let stop = AtomicBool::new(false);
    let options = ExportOptions {
        database,
        registry: Some("acme"),
        format: FileFormat::default(),
        part_rows: lake::PART_ROWS,
        threads: NonZeroUsize::new(threads).unwrap(),
        stop: &stop,
    };
    lake::export(&options, &Directory::new(lake))
}

#[test]
fn the_same_scan_gives_the_same_bytes_however_many_threads_write_it() {
    let sample = sample::generated();
    let written = |threads: usize| -> BTreeMap<PathBuf, Vec<u8>> {
        let lake = sample.path().join(format!("lake-{threads}"));
        let exported = export(&sample.database(), &lake, threads).unwrap();
        let files = readable(&lake).into_iter();
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.map(|path| (path.clone(), fs::read(lake.join(path)).unwrap())).collect();
        assert_eq!(files.len(), exported.file_count);
        files
    };
    let alone = written(1);
    for threads in [2, 3, 40] {
        assert!(written(threads) == alone, "{threads} threads");
    }
}

#[test]
fn a_reference_to_nothing_ends_an_export_with_its_error_and_no_thread_waits_for_the_graph() {
    let sample = sample::generated();
    let connection = rusqlite::Connection::open(sample.database()).unwrap();
    let last = "UPDATE reference SET blob_id = -1 WHERE manifest_id = (SELECT MAX(manifest_id) FROM reference)";
    assert!(connection.execute(last, []).unwrap() > 0);
    for threads in [1, 2, 40] {
        let lake = sample.path().join(format!("lake-{threads}"));
        let error = export(&sample.database(), &lake, threads).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{threads} threads: {error}");
        assert!(readable(&lake).is_empty(), "{threads} threads");
    }
}
