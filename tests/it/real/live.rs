//! Scanning a registry that is being pushed to.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::{Image, layer};
use super::pushes;
use super::registry::Registry;
use super::skopeo;
use super::snapshot::{Snapshot, scan};

const REPOSITORY: &str = "busy/app";

#[test]
fn scans_beside_pushes_succeed_and_never_call_a_finished_push_garbage() {
    let registry = Registry::start();
    // An empty directory may as well be a volume that is not mounted: regsql refuses it.
    std::fs::create_dir_all(registry.root().join("docker/registry/v2")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("registry.db");
    let finished: Mutex<Vec<(String, Image)>> = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    let mut scans = 0;
    std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            let _at_end = SetAtEnd(&done);
            push_often(&registry, &finished);
        });
        // At least one scan after the last push, so that it is looked at too.
        let mut is_last = false;
        while !is_last {
            is_last = done.load(Ordering::Acquire);
            let before = finished.lock().unwrap().clone();
            scan(&db, &registry.root());
            check(&Snapshot::open(&db), &before);
            scans += 1;
        }
        pusher.join().unwrap();
    });
    assert!(scans > 2, "only {scans} scans ran beside the pushes");
    // What many scans into one database led to is what one scan finds.
    let last = without_vanished(Snapshot::open(&db).everything());
    assert_eq!(last, without_vanished(Snapshot::of(&registry.root()).everything()));
}

/// Only who has seen the image that comes and goes knows that it vanished.
fn without_vanished(rows: BTreeSet<String>) -> BTreeSet<String> {
    let counts = ["problem_count", "error_count"];
    let stays = |row: &String| {
        !row.contains("\"vanished\"") && !counts.iter().any(|count| row.contains(count))
    };
    rows.into_iter().filter(stays).collect()
}

/// Images that share layers, under tags of their own and under one that moves; and beside them an
/// image that comes and goes, so that files vanish under a scan.
fn push_often(registry: &Registry, finished: &Mutex<Vec<(String, Image)>>) {
    let base = layer("base", 300_000);
    for number in 0..8 {
        let image = Image::of(&[&base, &layer(&format!("layer {number}"), 50_000)]);
        let tag = format!("1.{number}");
        skopeo::push(registry, &image, REPOSITORY, &tag);
        skopeo::push(registry, &image, REPOSITORY, "latest");
        finished.lock().unwrap().push((tag, image.clone()));
        pushes::put(registry, "busy/gone", "latest", &image);
        registry.delete_manifest("busy/gone", &image.digest());
    }
}

/// Every push that had finished when the scan began is whole in the snapshot.
fn check(snapshot: &Snapshot, finished: &[(String, Image)]) {
    let orphans = snapshot.orphan_blobs();
    let whole = snapshot.pairs("SELECT tag, manifest_digest FROM tags WHERE NOT is_broken");
    let revisions = snapshot.texts("SELECT manifest_digest FROM revisions WHERE is_tagged");
    for (tag, image) in finished {
        let lost: Vec<_> = image.all_digests().intersection(&orphans).cloned().collect();
        assert_eq!(lost, Vec::<String>::new(), "{tag} was pushed before the scan");
        assert!(whole.contains(&(tag.clone(), image.digest())), "{tag} is missing: {whole:?}");
        assert!(revisions.contains(&image.digest()), "{tag} counts as untagged");
    }
}

/// Ends the scans even when a push panics.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
