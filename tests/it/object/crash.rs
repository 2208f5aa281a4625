//! A deletion in a bucket that is killed, or meets an error, at each of its requests in turn.

use std::sync::Arc;

use regsql::storage::object::memory::Fault;
use regsql::storage::object::{Bucket as _, BucketErrorKind};
use regsql::trash::Trash;

use super::bucket::{How, Registry, TO_TRASH, kinds, options, prune, sample, trash_of, undo_all};
use crate::prune::pulls::assert_none_lost;

const TAGS: [&str; 2] = ["old", "1"];

#[test]
fn what_went_comes_back_byte_by_byte_in_every_kind_of_bucket() {
    let (builder, things) = sample();
    for (kind, settings, way) in kinds() {
        let registry = Registry::new(&builder, settings);
        let quiet = regsql::trash::object::ObjectOptions { is_quiet: true, ..options(way) };
        let trash = registry.trash(quiet);
        let (outcome, run) = prune(&registry, &trash, &TAGS, &TO_TRASH).unwrap();
        assert_eq!(outcome.skipped, [], "{kind}");
        assert!(outcome.counts[regsql::model::Kind::Blob] > 3, "{kind}: {:?}", outcome.counts);
        let now = registry.now();
        let gone = |part: &str| !now.keys().any(|key| key.contains(part));
        assert!(gone("/tags/old/") && gone("/tags/1/"), "{kind}");
        assert!(
            gone(&format!("/a/_layers/sha256/{}", things.old_layer.digest.encoded())),
            "{kind}"
        );
        assert_none_lost(&registry.copied().pulls(), &registry.pulls(), kind);
        drop(trash);
        undo_all(&registry, kind);
        registry.assert_as_before(kind);
        assert!(run.is_some(), "{kind}");
    }
}

#[test]
fn killed_at_any_request_nothing_is_lost_and_all_comes_back() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        let whole = Registry::new(&builder, settings);
        let before = whole.pulls();
        let quiet = regsql::trash::object::ObjectOptions { is_quiet: true, ..options(way) };
        let counted = Arc::new(whole.copied().bucket.client(Fault::Never));
        let trash = trash_of(counted.clone(), quiet);
        prune(&whole, &trash, &TAGS, &TO_TRASH).unwrap();
        drop(trash);
        let requests = counted.requests();
        assert!(requests > 20, "{kind}: {requests}");
        for at in 0..requests {
            for fault in [Fault::KilledBefore(at), Fault::KilledAfter(at)] {
                let when = format!("{kind}: {fault:?} of {requests}");
                let registry = whole.copied();
                let trash = trash_of(Arc::new(registry.bucket.client(fault)), quiet);
                drop(prune(&registry, &trash, &TAGS, &TO_TRASH));
                drop(trash);
                if at % 5 == 0 {
                    assert_none_lost(&before, &registry.pulls(), &when);
                }
                recover(&registry, &when);
                undo_all(&registry, &when);
                registry.assert_as_before(&when);
            }
        }
    }
}

/// What the next deletion does first.
fn recover(registry: &Registry, when: &str) {
    registry.end_lease();
    let trash = registry.trash(options(regsql::trash::object::Way::Auto));
    let lock = trash.lock().unwrap_or_else(|error| panic!("{when}: {error}"));
    for held in trash.held(true).unwrap() {
        let report = trash.roll_back(&lock, &held.run, jiff::Timestamp::now()).unwrap();
        assert!(report.is_whole(), "{when}: {report:#?}");
    }
}

#[test]
fn an_error_at_every_nth_request_leaves_every_image_whole() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        let whole = Registry::new(&builder, settings);
        let before = whole.pulls();
        for every in [1, 2, 3, 5, 8, 13, 21, 34] {
            for error in [BucketErrorKind::Throttled, BucketErrorKind::Denied] {
                let when = format!("{kind}: {error:?} at every {every}th request");
                let registry = whole.copied();
                let faulty = Arc::new(registry.bucket.client(Fault::Every(every, error)));
                let trash = trash_of(faulty, options(way));
                let how = How { is_online: true, ..TO_TRASH };
                drop(prune(&registry, &trash, &TAGS, &how));
                drop(trash);
                assert_none_lost(&before, &registry.pulls(), &when);
                recover(&registry, &when);
                undo_all(&registry, &when);
                registry.assert_as_before(&when);
            }
        }
    }
}
