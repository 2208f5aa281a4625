//! A deletion beside pushes: what got its answer can be pulled, whenever it came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use regsql::model::Digest;
use regsql::prune::ServingRegistry;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider, Settings};
use regsql::trash::Trash as _;
use regsql::trash::object::{ObjectOptions, Way};

use super::beside::Beside;
use super::bucket::{
    How, PREFIX, Registry, TO_TRASH, kinds, kinds_of_purge, later, options, prune, purge, purge_by,
    sample, trash_of,
};
use crate::prune::pulls::assert_none_lost;

/// An image that is pushed to a repository of its own and shares a layer with a tag that goes.
#[derive(Clone)]
pub struct Push {
    /// What a registry writes, by key: blobs that are new, then links, the tag last.
    new: Vec<(String, Vec<u8>)>,
    /// The data that it finds.
    found: String,
    /// What that holds.
    bytes: Vec<u8>,
}

impl Push {
    pub fn again() -> Self {
        let (mut builder, things) = sample();
        let before = Registry::new(&builder, Settings::of(Provider::S3)).before;
        builder.image("pushed").layers([&things.old_layer]).push_tag("again");
        let after = Registry::new(&builder, Settings::of(Provider::S3)).before;
        let mut new: Vec<(String, Vec<u8>)> =
            after.into_iter().filter(|(key, _)| !before.contains_key(key)).collect();
        new.sort_by_key(|(key, _)| (key.contains("/repositories/"), key.ends_with("current/link")));
        let hex = things.old_layer.digest.encoded();
        let found = format!("{PREFIX}docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        let bytes = before[&found].clone();
        Self { new, found, bytes }
    }

    /// Whether the registry finds the data; if not the client sends it.
    pub fn look(&self, bucket: &MemoryBucket) -> bool {
        let is_there = bucket.contents().contains_key(&self.found);
        if !is_there {
            bucket.write(&self.found, &self.bytes);
        }
        is_there
    }

    /// Writes the rest.
    pub fn finish(&self, bucket: &MemoryBucket) {
        for (key, bytes) in &self.new {
            bucket.write(key, bytes);
        }
    }
}

/// Whether the image that was pushed can be pulled.
#[track_caller]
pub fn assert_pushed(push: &Push, registry: &Registry, when: &str) {
    let now = registry.now();
    assert_eq!(now.get(&push.found), Some(&push.bytes), "{when}: {}", push.found);
    for (key, bytes) in &push.new {
        assert_eq!(now.get(key), Some(bytes), "{when}: {key}");
    }
}

#[test]
fn an_image_pushed_between_mark_and_purge_keeps_its_layer() {
    let (builder, _) = sample();
    let push = Push::again();
    for (kind, settings, way) in kinds() {
        let registry = Registry::new(&builder, settings);
        prune(&registry, &registry.trash(options(way)), &["old"], &TO_TRASH).unwrap();
        registry.bucket.pass_seconds(48 * 3600);
        push.look(&registry.bucket);
        push.finish(&registry.bucket);
        let before = registry.copied().pulls();
        let report = purge(&registry, &registry.trash(later(way))).unwrap();
        assert!(report.failed.is_empty(), "{kind}: {report:?}");
        assert_pushed(&push, &registry, kind);
        assert_none_lost(&before, &registry.pulls(), kind);
    }
}

#[test]
fn a_push_at_any_moment_of_a_purge_keeps_the_layer_that_it_found() {
    let (builder, _) = sample();
    let push = Push::again();
    for (kind, settings, way) in kinds_of_purge() {
        let whole = Registry::new(&builder, settings);
        let quiet = ObjectOptions { is_quiet: true, ..options(way) };
        prune(&whole, &whole.trash(quiet), &["old"], &TO_TRASH).unwrap();
        whole.bucket.pass_seconds(48 * 3600);
        let (before, graph) = (whole.pulls(), whole.rescan());
        let count = Arc::new(AtomicU64::new(0));
        let last = Arc::clone(&count);
        let counted = Beside::new(&whole.copied().bucket, move |number, _| {
            last.store(number, Ordering::Relaxed);
        });
        purge_by(&graph, &trash_of(Arc::new(counted), later(way))).unwrap();
        for at in 0..=count.load(Ordering::Relaxed) {
            let registry = whole.copied();
            let (bucket, other) = (registry.bucket.client(Fault::Never), push.clone());
            let (has_looked, is_found, is_finished, is_deleted) = (
                AtomicBool::new(false),
                AtomicBool::new(false),
                AtomicBool::new(false),
                AtomicBool::new(false),
            );
            // The registry looks at that moment. It writes the link as late as it can: after the data was
            // deleted, and before links are listed once more.
            let act = move |number: u64, request: &str| {
                if number == at {
                    has_looked.store(true, Ordering::Relaxed);
                    is_found.store(other.look(&bucket), Ordering::Relaxed);
                }
                if number < at {
                    return;
                }
                let is_late = !bucket.contents().contains_key(&other.found)
                    && is_deleted.swap(true, Ordering::Relaxed)
                    && request == "LIST";
                let is_certain = has_looked.load(Ordering::Relaxed)
                    && (!is_found.load(Ordering::Relaxed) || is_late);
                if is_certain && !is_finished.swap(true, Ordering::Relaxed) {
                    other.finish(&bucket);
                }
            };
            let trash = trash_of(Arc::new(Beside::new(&registry.bucket, act)), later(way));
            let when = format!("{kind}: a push at request {at}");
            purge_by(&graph, &trash).unwrap();
            let is_pushed = registry.now().contains_key(&push.new.last().unwrap().0);
            if is_pushed {
                assert_pushed(&push, &registry, &when);
            }
            let mut after = registry.pulls();
            after.retain(|tag, _| before.contains_key(tag));
            assert_none_lost(&before, &after, &when);
        }
    }
}

#[test]
fn a_tag_pushed_again_at_any_moment_stays_also_when_its_manifest_is_the_same() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        let whole = Registry::new(&builder, settings);
        let tag: BTreeMap<String, Vec<u8>> = pushed_again(&whole);
        let how = How { is_online: true, ..TO_TRASH };
        let run = |registry: &Registry, at: u64| {
            let (bucket, files) = (registry.bucket.client(Fault::Never), tag.clone());
            let last = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&last);
            let client = Beside::new(&registry.bucket, move |number, _| {
                count.store(number, Ordering::Relaxed);
                if number != at {
                    return;
                }
                bucket.pass_seconds(60);
                // A registry writes blobs that are missing, the revision, and the tag.
                let there = bucket.contents();
                let is_of_blobs = |key: &str| key.contains("/blobs/") || key.contains("/_layers/");
                for (key, bytes) in files.iter().filter(|(key, _)| is_of_blobs(key)) {
                    if !there.contains_key(key) {
                        bucket.write(key, bytes);
                    }
                }
                for part in ["/revisions/", "/index/", "/current/"] {
                    for (key, bytes) in files.iter().filter(|(key, _)| key.contains(part)) {
                        bucket.write(key, bytes);
                    }
                }
            });
            let trash = trash_of(Arc::new(client), options(way));
            drop(prune(registry, &trash, &["old"], &how));
            last.load(Ordering::Relaxed)
        };
        let count = run(&whole.copied(), u64::MAX);
        for at in 0..=count {
            let registry = whole.copied();
            let own = |key: &&String| key.contains("/tags/old/current/");
            run(&registry, at);
            let now = registry.now();
            for (key, bytes) in &tag {
                // A registry needs no history, and a tag that a bucket cannot compare stays anyway.
                if key.contains("/index/") {
                    continue;
                }
                assert_eq!(now.get(key), Some(bytes), "{kind}: pushed at request {at}: {key}");
            }
            assert!(tag.keys().any(|key| own(&key)), "{kind}");
        }
    }
}

/// What a push of `a:old` writes or finds.
fn pushed_again(registry: &Registry) -> BTreeMap<String, Vec<u8>> {
    let tag = format!("{PREFIX}docker/registry/v2/repositories/a/_manifests/tags/old/");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let manifest = text(&registry.before[&format!("{tag}current/link")]);
    let hex = manifest.strip_prefix("sha256:").unwrap().to_owned();
    let data = |hex: &str| format!("/blobs/sha256/{}/{hex}/data", &hex[..2]);
    let body: serde_json::Value = serde_json::from_slice(
        registry.before.iter().find(|(key, _)| key.ends_with(&data(&hex))).unwrap().1,
    )
    .unwrap();
    let mut blobs: Vec<String> = body["layers"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&body["config"]])
        .map(|named| named["digest"].as_str().unwrap()["sha256:".len()..].to_owned())
        .collect();
    let links: Vec<String> =
        blobs.iter().map(|hex| format!("/a/_layers/sha256/{hex}/link")).collect();
    blobs.push(hex.clone());
    let wanted = |key: &str| {
        key.starts_with(&tag)
            || key.ends_with(&format!("/a/_manifests/revisions/sha256/{hex}/link"))
            || links.iter().any(|link| key.ends_with(link.as_str()))
            || blobs.iter().any(|hex| key.ends_with(&data(hex)))
    };
    let all = registry.before.iter().filter(|(key, _)| wanted(key));
    all.map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
}

/// A registry with a cache over the bucket: it goes on to serve a revision until that is deleted through
/// its API, and then takes every tag along that points there.
struct Caching {
    bucket: MemoryBucket,
    asked: AtomicU64,
}

impl ServingRegistry for Caching {
    fn delete_link(&self, _: &str, _: &Digest) -> Result<(), String> {
        Ok(())
    }

    fn delete_revision(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        let top = format!("{PREFIX}docker/registry/v2/repositories/{repository}/_manifests/");
        let text = digest.to_string().into_bytes();
        self.bucket.remove(&format!("{top}revisions/sha256/{}/link", digest.encoded()));
        for (key, bytes) in self.bucket.contents() {
            if key.starts_with(&format!("{top}tags/")) && bytes == text {
                self.bucket.remove(&key);
            }
        }
        Ok(())
    }

    fn serves_link(&self, _: &str, _: &Digest) -> Result<bool, String> {
        Ok(false)
    }

    fn serves_revision(&self, _: &str, _: &Digest) -> Result<bool, String> {
        // Once from its cache; then it has forgotten.
        Ok(self.asked.fetch_add(1, Ordering::Relaxed) == 0)
    }
}

#[test]
fn a_registry_with_a_cache_deletes_no_revision_to_which_a_tag_came_after_the_listing() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        let registry = Registry::new(&builder, settings);
        let tags = format!("{PREFIX}docker/registry/v2/repositories/a/_manifests/tags/");
        let manifest = registry.before[&format!("{tags}old/current/link")].clone();
        let client = || registry.bucket.client(Fault::Never);
        let caching = Caching { bucket: client(), asked: AtomicU64::new(0) };
        let is_pushed = AtomicBool::new(false);
        // The revision's link is old; the tag is written when all was listed, before the first step.
        let before = |step| {
            if matches!(step, regsql::prune::Step::Remove(_))
                && !is_pushed.swap(true, Ordering::Relaxed)
            {
                client().write(&format!("{tags}moved/current/link"), &manifest);
            }
        };
        let how = How { is_online: true, registry: Some(&caching), before: &before, ..TO_TRASH };
        drop(prune(&registry, &registry.trash(options(way)), &["old"], &how));
        let now = registry.now();
        assert_eq!(now.get(&format!("{tags}moved/current/link")), Some(&manifest), "{kind}");
        let hex = String::from_utf8(manifest[7..].to_vec()).unwrap();
        assert!(
            now.keys()
                .any(|key| key.ends_with(&format!("/a/_manifests/revisions/sha256/{hex}/link"))),
            "{kind}: the revision"
        );
    }
}

#[test]
fn what_is_only_marked_is_not_listed_a_second_time() {
    let (builder, _) = sample();
    let registry = Registry::new(&builder, Settings::of(Provider::S3));
    let trash = registry.trash(options(Way::Deferred));
    let (outcome, run) = prune(&registry, &trash, &["old"], &TO_TRASH).unwrap();
    let marked = outcome.counts[regsql::model::Kind::Blob];
    let again = super::bucket::garbage(&registry, &trash);
    assert_eq!(again.counts()[regsql::model::Kind::Blob], 0, "{again:?}");
    assert_eq!(again.freed_bytes, 0, "what is marked is counted once");
    let waiting = again.skipped.iter();
    let waiting = waiting.filter(|skipped| skipped.group == regsql::prune::SkipGroup::Marked);
    assert_eq!(waiting.count() as u64, marked + 1, "the blobs, and the upload");
    // Once it is undone nothing is marked any more.
    trash.undo(&trash.lock().unwrap(), &run.unwrap()).unwrap();
    let after = super::bucket::garbage(&registry, &trash);
    assert!(after.counts()[regsql::model::Kind::Blob] > 0, "{after:?}");
}
