//! Pruning beside a registry that many push to: what it said 201 to can be pulled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::writers::{self, Story};
use super::{Bench, url};
use crate::real::registry::Registry;

const WRITERS: usize = 4;

/// How long they push at least, and at most when the machine has much else to do.
const LEAST: Duration = Duration::from_secs(14);
const MOST: Duration = Duration::from_secs(150);

/// How long a deletion waits for pushes.
const WAIT: Duration = Duration::from_secs(1);

#[test]
fn no_push_is_lost_beside_a_registry_without_a_cache() {
    let registry = Registry::start();
    prune_beside_writers(registry, &["--cache-off"]);
}

#[test]
fn no_push_is_lost_beside_a_registry_with_a_cache_whose_api_removes_the_links() {
    let registry = Registry::start_with(|config| {
        config.replace("storage:\n", "storage:\n  cache:\n    blobdescriptor: inmemory\n")
    });
    let url = url(&registry);
    prune_beside_writers(registry, &["--registry-url", &url]);
}

#[derive(Debug, Default)]
struct Pruned {
    runs: usize,
    revisions: u64,
    layer_links: u64,
    blobs: u64,
    put_back: usize,
}

fn prune_beside_writers(mut registry: Registry, how: &[&str]) {
    let images = writers::images();
    // The storage must be there before it can be scanned.
    crate::real::pushes::put(&registry, "first", "1.0", &images[0][0]);
    let bench = Bench::of(&registry.root());
    let start = Instant::now();
    let (is_over, has_pruned) = (AtomicBool::new(false), AtomicBool::new(false));
    let is_enough = |story: &Story| {
        let has_enough =
            story.pushes > 13 && story.mounts > 0 && has_pruned.load(Ordering::Acquire);
        start.elapsed() > MOST || start.elapsed() > LEAST && has_enough
    };
    let (stories, pruned) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|name| {
                let (registry, images, is_enough) = (&registry, &images, &is_enough);
                scope.spawn(move || writers::write(registry, images, name, WAIT, is_enough))
            })
            .collect();
        let pruner = scope.spawn(|| prune_often(&bench, how, &is_over, &has_pruned));
        let stories: Vec<Story> =
            writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        is_over.store(true, Ordering::Release);
        (stories, pruner.join().unwrap())
    });
    let sum = |count: fn(&Story) -> usize| stories.iter().map(count).sum::<usize>();
    let told = format!(
        "{} pushes, {} refused, {} blobs relied on, {} mounts; {pruned:?}",
        sum(|story| story.pushes),
        sum(|story| story.refused),
        sum(|story| story.relied_on),
        sum(|story| story.mounts),
    );
    let mut wrongs = all_wrongs(&registry, &stories);
    assert!(wrongs.is_empty(), "while it serves: {wrongs:#?}\n{told}");
    // A cache would hide what is not on disk.
    registry.restart_with(str::to_owned);
    wrongs = all_wrongs(&registry, &stories);
    assert!(wrongs.is_empty(), "after a restart: {wrongs:#?}\n{told}");
    assert!(sum(|story| story.pushes) > 50 && sum(|story| story.mounts) > 0, "{told}");
    assert!(pruned.is_enough(), "{told}");
}

impl Pruned {
    /// It deleted something of every kind, and more than once.
    fn is_enough(&self) -> bool {
        self.runs > 2 && self.revisions > 0 && self.layer_links > 0 && self.blobs > 0
    }
}

fn prune_often(
    bench: &Bench,
    how: &[&str],
    is_over: &AtomicBool,
    has_pruned: &AtomicBool,
) -> Pruned {
    let what = ["prune", "untagged-revisions", "--garbage", "--max-delete-percent", "100"];
    let when = ["--online", "--min-age", "1s", "--wait", "1s", "--delete", "--yes"];
    // Within a second a push leaves a config without its manifest, as a registry with a database does.
    let when = [&when[..], &["--trust-storage"]].concat();
    let arguments = [&what[..], &when[..], how].concat();
    let mut pruned = Pruned::default();
    while !is_over.load(Ordering::Acquire) {
        let (document, notes) = bench.json(&arguments);
        pruned.runs += 1;
        let count = |name: &str| document["counts"][name].as_u64().unwrap();
        pruned.revisions += count("revisions");
        pruned.layer_links += count("layer_links");
        pruned.blobs += count("blobs");
        pruned.put_back += usize::from(notes.contains("Put back"));
        has_pruned.store(pruned.is_enough(), Ordering::Release);
    }
    pruned
}

fn all_wrongs(registry: &Registry, stories: &[Story]) -> Vec<String> {
    let tags = stories.iter().flat_map(|story| &story.tags);
    let known = tags.filter_map(|(name, image)| Some((name, image.as_ref()?)));
    known
        .flat_map(|((repository, tag), image)| writers::wrongs(registry, repository, tag, image))
        .collect()
}
