//! Random registries against a slow and obvious model: what is tagged, what is an orphan, and what
//! comes free when something is deleted, found by deleting it from a copy and looking what is left.

pub mod model;
pub mod story;
pub mod summaries;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;

use model::Model;
use proptest::prelude::*;
use regsql::model::progress::Hidden;
use regsql::sample::generate::{Size, generate};
use regsql::scan::DeepLook;
use regsql::snapshot::{Reuse, RootsChoice, ScanOptions, scan};
use rusqlite::Connection;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Every figure of the public views equals the model's.
    #[test]
    fn a_scan_agrees_with_the_obvious_model(story in story::stories()) {
        let registry = story::tell(&story);
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        registry.write_to(&root).unwrap();
        let database = scanned(&root, &directory.path().join("registry.db"));
        let model = Model::of(&registry.tree);

        prop_assert_eq!(orphans(&database), model.orphans());
        prop_assert_eq!(
            figures(&database, "SELECT repository, '', '', logical_bytes, exclusive_bytes, untagged_bytes, untagged_revision_count FROM repositories"),
            model.repositories(),
            "repositories: logical, exclusive, untagged bytes, untagged revisions"
        );
        prop_assert_eq!(
            figures(&database, "SELECT repository, manifest_digest, '', logical_bytes, exclusive_bytes, is_tagged, 0 FROM revisions"),
            model.revisions(),
            "revisions: logical, exclusive bytes, is tagged"
        );
        prop_assert_eq!(
            figures(&database, "SELECT repository, tag, COALESCE(manifest_digest, ''), logical_bytes, exclusive_bytes, 0, 0 FROM tags"),
            model.tags(),
            "tags: logical, exclusive bytes"
        );
        summaries::check(&database);
    }
}

/// Generated registries have long histories of builds for several platforms on common bases.
#[test]
fn what_a_scan_sums_up_for_reports_is_what_the_rows_say() {
    for seed in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        let preset = Size::preset(if seed % 2 == 0 { "flat" } else { "165k" }).unwrap();
        let size = Size { repositories: 12, blobs: 900, revisions: 200, tags: 80, seed, ..preset };
        generate(&root, &size).unwrap();
        let database = scanned(&root, &directory.path().join("registry.db"));
        let filled = summaries::check(&database);
        assert!(filled.iter().filter(|has_rows| **has_rows).count() > 5, "{seed}: {filled:?}");
    }
}

/// A row of figures by the names it is about.
pub type Figures = BTreeMap<(String, String, String), [u64; 4]>;

fn scanned(root: &Path, database: &Path) -> Connection {
    let options = ScanOptions {
        storage: root.to_owned(),
        database: database.to_owned(),
        io_threads: NonZeroUsize::new(2).unwrap(),
        reuse: Reuse::DIRECTORIES,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
        deep: DeepLook::Never,
    };
    scan(&options, &Hidden).unwrap();
    Connection::open(database).unwrap()
}

fn orphans(database: &Connection) -> BTreeSet<String> {
    let mut statement = database.prepare("SELECT blob_digest FROM orphan_blobs").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn figures(database: &Connection, query: &str) -> Figures {
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| {
        let number = |at| row.get::<_, i64>(at).map(|value| value as u64);
        Ok((
            (row.get(0)?, row.get(1)?, row.get(2)?),
            [number(3)?, number(4)?, number(5)?, number(6)?],
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}
