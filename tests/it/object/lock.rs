//! Only one run changes a bucket.

use std::time::Duration;

use regsql::storage::object::memory::{Provider, Settings};
use regsql::trash::object::{ObjectOptions, Way};
use regsql::trash::{Trash, TrashError};

use super::bucket::{Registry, TO_TRASH, options, prune, sample};

/// A lock is renewed each sixth of it, also on a machine that is busy with other things.
pub const LEASE: Duration = Duration::from_secs(6);

#[test]
fn a_second_run_is_refused_and_told_who_holds_the_lock() {
    let providers = [Provider::S3, Provider::Gcs, Provider::Azure];
    std::thread::scope(|scope| {
        for provider in providers {
            scope.spawn(move || {
                let registry = Registry::new(&sample().0, Settings::of(provider));
                let trash = || registry.trash(ObjectOptions { lease: LEASE, ..options(Way::Auto) });
                let first = trash();
                let held = first.lock().unwrap();
                let process = format!("process {}", std::process::id());
                // It is renewed for as long as it is held: each attempt ends when it saw that.
                for _ in 0..3 {
                    let error = trash().lock().unwrap_err();
                    assert!(matches!(error, TrashError::LockedBy { .. }), "{error}");
                    assert!(error.to_string().contains(&process), "{error}");
                }
                drop(held);
                drop(trash().lock().unwrap());
                assert_eq!(registry.bucket.contents(), registry.before, "{provider:?}");
            });
        }
    });
}

#[test]
fn the_lock_of_a_killed_run_ends_and_a_run_that_lost_it_changes_nothing_more() {
    let registry = Registry::new(&sample().0, Settings::of(Provider::S3));
    let (_, run) =
        prune(&registry, &registry.trash(options(Way::Auto)), &["old"], &TO_TRASH).unwrap();
    let run = run.unwrap();
    let lease = Duration::from_millis(200);
    let of = ObjectOptions { lease, ..options(Way::Auto) };
    let first = registry.trash(of);
    let held = first.lock().unwrap();
    // It never ends its lock, and the bucket has that of another host, which is not renewed either.
    std::mem::forget(held);
    let key = format!("{}.regsql/lock", super::bucket::PREFIX);
    registry.bucket.write(&key, br#"{"host":"elsewhere","namespace":"","pid":1}"#);
    let changed = registry.bucket.contents();
    // The second run has it only after a whole lease without a renewal, and the first one trusts its own for half of that.
    let other = registry.trash(ObjectOptions { lease: LEASE, ..of });
    let watching = registry.trash(of);
    let second = watching.lock().unwrap();
    let Err(TrashError::Write { source, .. }) = first.undo(&second, &run) else {
        panic!("it writes on");
    };
    assert!(source.to_string().contains("could not be renewed in time"), "{source}");
    drop(second);
    let now = registry.bucket.contents();
    assert!(changed.iter().all(|(name, bytes)| *name == key || now.get(name) == Some(bytes)));
    let lock = other.lock().unwrap();
    assert!(other.undo(&lock, &run).unwrap().is_whole());
}
