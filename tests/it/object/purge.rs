//! Freeing what runs hold in a bucket: nothing that is needed goes, and of the rest nothing is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regsql::model::Kind;
use regsql::storage::Storage as _;
use regsql::storage::object::memory::{Fault, Provider, Settings};
use regsql::storage::object::{Bucket as _, BucketErrorKind, Listed as _, ObjectStorage, Version};
use regsql::trash::object::{ObjectOptions, Way};
use regsql::trash::{Trash, TrashError};

use super::bucket::{
    PREFIX, Registry, TO_TRASH, kinds, kinds_of_purge, later, options, prune, purge, purge_by,
    sample, trash_of, undo_all,
};
use super::lock::LEASE;
use crate::prune::pulls::assert_none_lost;

const TAGS: [&str; 2] = ["old", "1"];

/// All older versions and markers.
fn older(registry: &Registry) -> Vec<Version> {
    let page = registry.bucket.client(Fault::Never).list_versions("", None).unwrap();
    let mut versions = page.versions;
    assert_eq!(page.next, None);
    versions.retain(|version| !version.is_current);
    versions
}

/// Everything that the plan names has gone for good, and nothing of regsql's own is left.
#[track_caller]
fn assert_gone(registry: &Registry, settings: Settings, when: &str) {
    let own = format!("{PREFIX}.regsql/");
    let mut left: Vec<String> = registry.bucket.contents().into_keys().collect();
    left.retain(|key| key.starts_with(&own) && !key.ends_with("/last.json"));
    assert_eq!(left, Vec::<String>::new(), "{when}");
    let now = registry.now();
    let present = now.keys().filter(|key| key.contains("/blobs/")).count();
    assert_eq!(present, 10, "{when}: blobs that images need");
    assert!(!now.keys().any(|key| key.contains("/_uploads/")), "{when}");
    if settings.has_versions {
        let older: Vec<_> = older(registry).into_iter().map(|old| old.object.key).collect();
        assert_eq!(older, Vec::<String>::new(), "{when}: older versions");
    }
}

#[test]
fn what_is_purged_is_gone_for_good_with_its_versions_and_copies() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        for is_quiet in [true, false] {
            let when = format!("{kind}, quiet: {is_quiet}");
            let registry = Registry::new(&builder, settings);
            let quiet = ObjectOptions { is_quiet: true, ..options(way) };
            let (outcome, _) = prune(&registry, &registry.trash(quiet), &TAGS, &TO_TRASH).unwrap();
            let before = registry.copied().pulls();
            registry.bucket.pass_seconds(48 * 3600);
            let trash = registry.trash(ObjectOptions { is_quiet, ..later(way) });
            let report = purge(&registry, &trash).unwrap();
            drop(trash);
            assert!(report.failed.is_empty() && report.runs.len() == 1, "{when}: {report:?}");
            let run = &report.runs[0];
            assert!(run.is_removed && run.kept.is_empty(), "{when}: {run:?}");
            assert_eq!(run.counts.blobs, outcome.counts[Kind::Blob], "{when}");
            assert_eq!(run.size_bytes, outcome.size_bytes, "{when}");
            assert_none_lost(&before, &registry.pulls(), &when);
            assert_gone(&registry, settings, &when);
        }
    }
}

#[test]
fn what_is_marked_stays_for_as_long_as_a_push_may_take_unless_nothing_writes() {
    let registry = Registry::new(&sample().0, Settings::of(Provider::S3));
    prune(&registry, &registry.trash(options(Way::Auto)), &TAGS, &TO_TRASH).unwrap();
    let before = registry.now();
    let report = purge(&registry, &registry.trash(options(Way::Auto))).unwrap();
    let [(_, TrashError::Marked { count, .. })] = report.failed.as_slice() else {
        panic!("{report:?}")
    };
    assert!(*count > 3, "{report:?}");
    assert_eq!(registry.now(), before);
    undo_all(&registry, "after a purge that came too early");
    registry.assert_as_before("after a purge that came too early");
}

#[test]
fn a_purge_killed_at_any_request_loses_nothing_and_the_next_one_ends_it() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds_of_purge() {
        let whole = Registry::new(&builder, settings);
        let quiet = ObjectOptions { is_quiet: true, ..options(way) };
        prune(&whole, &whole.trash(quiet), &TAGS, &TO_TRASH).unwrap();
        whole.bucket.pass_seconds(48 * 3600);
        let (before, graph) = (whole.pulls(), whole.rescan());
        let counted = Arc::new(whole.copied().bucket.client(Fault::Never));
        purge_by(&graph, &trash_of(counted.clone(), later(way))).unwrap();
        let requests = counted.requests();
        assert!(requests > 8, "{kind}: {requests}");
        for at in 0..requests {
            for fault in [Fault::KilledBefore(at), Fault::KilledAfter(at)] {
                let when = format!("{kind}: {fault:?} of {requests}");
                let registry = whole.copied();
                let client = Arc::new(registry.bucket.client(fault));
                drop(purge_by(&graph, &trash_of(client, later(way))));
                if at % 3 == 0 {
                    assert_none_lost(&before, &registry.pulls(), &when);
                }
                registry.end_lease();
                let report = purge_by(&graph, &registry.trash(later(way))).unwrap();
                assert!(report.failed.is_empty(), "{when}: {report:?}");
                if at % 3 == 1 {
                    assert_none_lost(&before, &registry.pulls(), &when);
                }
                assert_gone(&registry, settings, &when);
            }
        }
    }
}

#[test]
fn a_purge_with_an_error_at_every_nth_request_loses_nothing_and_says_what_failed() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds_of_purge() {
        let whole = Registry::new(&builder, settings);
        let quiet = ObjectOptions { is_quiet: true, ..options(way) };
        prune(&whole, &whole.trash(quiet), &TAGS, &TO_TRASH).unwrap();
        whole.bucket.pass_seconds(48 * 3600);
        let (before, graph) = (whole.pulls(), whole.rescan());
        for every in [1, 2, 3, 5, 8, 13, 21] {
            for error in [BucketErrorKind::Throttled, BucketErrorKind::Denied] {
                let when = format!("{kind}: {error:?} at every {every}th request");
                let registry = whole.copied();
                let faulty = Arc::new(registry.bucket.client(Fault::Every(every, error)));
                let report = purge_by(&graph, &trash_of(faulty, later(way)));
                let is_gone = registry.now().len() < whole.now().len();
                if let Ok(report) = &report {
                    let is_whole = report.runs.iter().all(|run| run.is_removed);
                    assert!(is_whole || !report.failed.is_empty(), "{when}: {report:?}");
                }
                assert_none_lost(&before, &registry.pulls(), &when);
                registry.end_lease();
                let second = purge_by(&graph, &registry.trash(later(way))).unwrap();
                assert!(second.failed.is_empty(), "{when}, gone: {is_gone}: {second:?}");
                assert_none_lost(&before, &registry.pulls(), &when);
                assert_gone(&registry, settings, &when);
            }
        }
    }
}

#[test]
fn of_two_purges_at_once_one_is_refused() {
    let registry = Registry::new(&sample().0, Settings::of(Provider::S3));
    prune(&registry, &registry.trash(options(Way::Auto)), &TAGS, &TO_TRASH).unwrap();
    let patient = ObjectOptions { lease: LEASE, ..later(Way::Auto) };
    let first = registry.trash(patient);
    let held = first.lock().unwrap();
    let second = registry.trash(patient);
    let error = purge(&registry, &second).unwrap_err();
    assert!(matches!(error, TrashError::LockedBy { .. }), "{error}");
    drop(held);
    assert!(purge(&registry, &second).unwrap().failed.is_empty());
}

#[test]
fn without_a_trash_only_that_goes_which_the_run_took() {
    let (builder, _) = sample();
    for (kind, settings, way) in kinds() {
        let registry = Registry::new(&builder, settings);
        let before = registry.pulls();
        // An orphan is written again after the scan: the run leaves it, and so must its purge.
        let orphan = registry
            .graph
            .blobs
            .iter()
            .find(|blob| blob.size_bytes == Some(600))
            .unwrap()
            .digest
            .encoded();
        let key = registry.before.keys().find(|key| key.contains(&format!("/{orphan}/"))).unwrap();
        registry.bucket.write(key, &registry.before[key]);
        let how = super::bucket::How { keeps_trash: false, ..TO_TRASH };
        let (outcome, run) = prune(&registry, &registry.trash(options(way)), &[], &how).unwrap();
        assert_eq!(run, None, "{kind}");
        assert!(outcome.counts[Kind::Blob] >= 1, "{kind}: {:?}", outcome.counts);
        assert!(registry.now().contains_key(key), "{kind}: {key}");
        assert_none_lost(&before, &registry.pulls(), kind);
        let own = format!("{PREFIX}.regsql/trash");
        assert!(!registry.bucket.contents().keys().any(|key| key.starts_with(&own)), "{kind}");
    }
}

#[test]
fn the_history_of_a_tag_keeps_no_marked_manifest() {
    let (mut builder, _) = sample();
    let layer = builder.layer("moved away from", 300);
    let old = builder.image("a").layers([&layer]).push_tag("moving");
    let next = builder.layer("moved to", 310);
    builder.image("a").layers([&next]).push_tag("moving");
    let registry = Registry::new(&builder, Settings::of(Provider::S3));
    let hex = old.digest.encoded();
    let revision = regsql::model::Name::Revision {
        repository: "a".into(),
        manifest_digest: old.digest.to_string(),
    };
    let trash = registry.trash(options(Way::Auto));
    super::bucket::prune_these(&registry, &trash, vec![revision], &TO_TRASH).unwrap();
    drop(trash);
    let is_there = || registry.now().keys().any(|key| key.ends_with(&format!("/{hex}/data")));
    assert!(is_there(), "it is marked");
    let report = purge(&registry, &registry.trash(later(Way::Auto))).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(!is_there(), "an entry of the tag's history is no need");
}

#[test]
fn a_listing_that_fails_is_an_error_and_no_empty_place() {
    let registry = Registry::new(&sample().0, Settings::of(Provider::S3));
    let storage_of = |fault| ObjectStorage::new(Arc::new(registry.bucket.client(fault)), PREFIX);
    let failing = storage_of(Fault::KilledBefore(0));
    assert!(failing.objects_at(&failing.layout().blobs()).is_err());
    let whole = storage_of(Fault::Never);
    assert!(!whole.objects_at(&whole.layout().blobs()).unwrap().is_empty());
    let nowhere = whole.layout().blobs().join("no/such");
    assert!(whole.objects_at(&nowhere).unwrap().is_empty());
}

#[test]
fn the_renewals_of_a_lock_leave_no_versions() {
    std::thread::scope(|scope| {
        for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
            scope.spawn(move || {
                let settings = Settings { has_versions: true, ..Settings::of(provider) };
                let registry = Registry::new(&sample().0, settings);
                let trash = registry.trash(ObjectOptions { lease: LEASE, ..options(Way::Auto) });
                let held = trash.lock().unwrap();
                let deadline = Instant::now() + Duration::from_mins(2);
                while older(&registry).len() < 2 {
                    assert!(Instant::now() < deadline, "{provider:?}: it is not renewed");
                    std::thread::sleep(Duration::from_millis(20));
                }
                drop(held);
                assert_eq!(older(&registry), [], "{provider:?}");
            });
        }
    });
}
