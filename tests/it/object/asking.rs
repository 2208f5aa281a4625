//! Questions to a registry whose cache may remember what no bucket shows.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use regsql::model::progress::{Hidden, Progress};
use regsql::model::{Digest, Kind};
use regsql::prune::{Environment, Outcome, ServingRegistry, SkipGroup};
use regsql::sample::RegistryBuilder;
use regsql::storage::object::memory::{Provider, Settings};
use regsql::trash::object::Way;
use serde_json::json;

use super::bucket::{How, Registry, TO_TRASH, options, prune_before};

/// Somebody who looks on.
#[derive(Default)]
struct Watching {
    said: Mutex<Vec<String>>,
    stop_count: AtomicU32,
    /// How often a run saw that it is to stop.
    seen_count: AtomicU32,
}

impl Environment for Watching {
    fn note(&self, text: &str) {
        self.said.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.said.lock().unwrap().push(text.to_owned());
    }

    fn detail(&self, _: &str) {}

    fn progress(&self) -> &dyn Progress {
        &Hidden
    }

    fn stop_count(&self) -> u32 {
        let stop_count = self.stop_count.load(Ordering::Relaxed);
        self.seen_count.fetch_add(u32::from(stop_count > 0), Ordering::Relaxed);
        stop_count
    }

    fn sleep(&self, _: Duration) {}

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Answers questions about blobs by `answer`, and remembers no revision.
struct Answering<F> {
    answer: F,
    asked_count: AtomicUsize,
}

impl<F> Answering<F> {
    fn new(answer: F) -> Self {
        Self { answer, asked_count: AtomicUsize::new(0) }
    }

    fn asked_count(&self) -> usize {
        self.asked_count.load(Ordering::Relaxed)
    }
}

impl<F: Fn(&str, &Digest) -> Result<bool, String> + Sync> ServingRegistry for Answering<F> {
    fn delete_link(&self, _: &str, _: &Digest) -> Result<(), String> {
        Ok(())
    }

    fn delete_revision(&self, _: &str, _: &Digest) -> Result<(), String> {
        Ok(())
    }

    fn serves_link(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        self.asked_count.fetch_add(1, Ordering::Relaxed);
        (self.answer)(repository, digest)
    }

    fn serves_revision(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        self.serves_link(repository, digest)
    }
}

/// Deletes all garbage beside a registry with a cache.
fn prune(registry: &Registry, serving: &dyn ServingRegistry, watching: &Watching) -> Outcome {
    let how = How { is_online: true, registry: Some(serving), ..TO_TRASH };
    let trash = registry.trash(options(Way::Auto));
    prune_before(registry, &trash, Vec::new(), &how, watching).unwrap().0
}

/// A registry with so many repositories, and so many blobs that nothing names, of growing sizes.
fn garbage(repository_count: u64, blob_count: u64) -> (Registry, Vec<Digest>) {
    let mut builder = RegistryBuilder::new();
    let base = builder.layer("base", 500);
    for number in 0..repository_count {
        builder.link_layer(&format!("app-{number:04}"), &base.digest);
    }
    builder.image("app-0000").layers([&base]).push_tag("1.0");
    let orphans = (0..blob_count)
        .map(|number| builder.layer(&format!("orphan {number}"), 1000 + number))
        .map(|orphan| orphan.digest)
        .collect();
    (Registry::new(&builder, Settings::of(Provider::S3)), orphans)
}

#[test]
fn what_a_registry_cannot_be_asked_for_in_one_run_stays_for_the_next() {
    let (registry, orphans) = garbage(300, 400);
    let remembered = [&orphans[0], &orphans[399]];
    let serving = Answering::new(|repository: &str, digest: &Digest| {
        Ok(repository == "app-0299" && remembered.contains(&digest))
    });
    let watching = Watching::default();
    let done = prune(&registry, &serving, &watching);
    let said = watching.said.lock().unwrap().join("\n");
    assert!(
        said.contains("blobs stay for the next run") && said.contains("300 repositories"),
        "{said}"
    );
    let spared = done.skipped.iter().filter(|skipped| skipped.group == SkipGroup::Spared);
    let spared: BTreeSet<String> = spared.map(|skipped| skipped.name.text()).collect();
    // Links to `base` that no image needs go in the same run.
    let gone = done.counts[Kind::Blob] as usize;
    assert_eq!(gone + spared.len() + 1, 400, "{done:?}");
    assert!(gone >= 300 && spared.len() > 50, "{gone} went, {} are left", spared.len());
    // The largest went first, but for the one that the cache has.
    assert!(
        spared.contains(&format!("blob {}", orphans[0]))
            && !spared.contains(&format!("blob {}", orphans[399]))
    );
    let now = registry.now();
    for digest in remembered {
        assert!(now.keys().any(|key| key.contains(&digest.encoded())), "{digest}");
    }
    assert!(serving.asked_count() <= 200_000 + 1000, "{}", serving.asked_count());
}

/// The cache may have any of the manifests that it is not asked for, and a push over that needs what it names.
#[test]
fn where_not_even_all_manifests_can_be_asked_for_nothing_goes() {
    let mut builder = RegistryBuilder::new();
    let base = builder.layer("base", 500);
    for number in 0..1000 {
        builder.link_layer(&format!("app-{number:04}"), &base.digest);
    }
    builder.image("app-0000").layers([&base]).push_tag("1.0");
    for number in 0..60 {
        let layer = builder.layer(&format!("layer {number}"), 5000 + number);
        // What a client's deletion leaves: a manifest without a link.
        let part = layer.to_json("application/vnd.oci.image.layer.v1.tar+gzip");
        let body = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part, "layers": [part],
        });
        builder.blob(body.to_string());
    }
    let registry = Registry::new(&builder, Settings::of(Provider::S3));
    let serving = Answering::new(|_: &str, _: &Digest| Ok(false));
    let watching = Watching::default();
    let done = prune(&registry, &serving, &watching);
    let said = watching.said.lock().unwrap().join("\n");
    assert!(said.contains("blobs stay for the next run"), "{said}");
    assert_eq!(done.counts[Kind::Blob], 0, "{done:?}");
    assert_eq!(registry.rescan().blobs.len(), registry.graph.blobs.len());
}

#[test]
fn a_registry_that_answers_with_errors_alone_is_soon_asked_no_more_and_all_stays() {
    let (registry, _) = garbage(20, 100);
    let serving =
        Answering::new(|_: &str, _: &Digest| Err("401 Unauthorized: log in first".to_owned()));
    let watching = Watching::default();
    let done = prune(&registry, &serving, &watching);
    let said = watching.said.lock().unwrap().join("\n");
    assert!(said.contains("answered 20 questions in a row with errors"), "{said}");
    assert!(said.contains("401 Unauthorized: log in first"), "{said}");
    assert_eq!(done.counts[Kind::Blob], 0, "{done:?}");
    assert_eq!(registry.rescan().blobs.len(), registry.graph.blobs.len());
    // Twice about links that went, and about blobs: eight questions may be under way each time.
    assert!(serving.asked_count() < 4 * 30, "{}", serving.asked_count());
}

#[test]
fn a_repository_that_may_not_be_read_keeps_the_blobs_and_says_why() {
    let (registry, _) = garbage(20, 10);
    let serving = Answering::new(|repository: &str, _: &Digest| match repository {
        "app-0007" => Err("403 Forbidden".to_owned()),
        _ => Ok(false),
    });
    let done = prune(&registry, &serving, &Watching::default());
    assert_eq!(done.counts[Kind::Blob], 0, "{done:?}");
    let of_blobs = done.skipped.iter().filter(|skipped| skipped.reason.contains("403 Forbidden"));
    assert!(of_blobs.count() >= 10, "{done:?}");
}

#[test]
fn a_person_who_stops_it_waits_for_no_question_that_was_not_sent() {
    let (registry, _) = garbage(100, 100);
    let watching = Watching::default();
    let answered_count = AtomicUsize::new(0);
    let serving = Answering::new(|_: &str, _: &Digest| {
        // The person stops it while the rest of the questions is still under way. When the run looked again after it had
        // seen that, it has ended the questions.
        if answered_count.fetch_add(1, Ordering::Relaxed) >= 200 {
            watching.stop_count.store(1, Ordering::Relaxed);
            while watching.seen_count.load(Ordering::Relaxed) < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(false)
    });
    let done = prune(&registry, &serving, &watching);
    assert!(serving.asked_count() < 300, "{}", serving.asked_count());
    assert_eq!(done.counts[Kind::Blob], 0, "nothing went that was not asked for: {done:?}");
    let said = watching.said.lock().unwrap().join("\n");
    assert!(said.contains("stopped asking the registry"), "{said}");
}
