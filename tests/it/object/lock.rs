//! Only one run changes a bucket.

use std::sync::Arc;
use std::time::Duration;

use regsql::storage::object::memory::Fault;
use regsql::storage::object::memory::{Provider, Settings};
use regsql::trash::object::{ObjectOptions, Way};
use regsql::trash::{Trash, TrashError};

use super::bucket::{Registry, sample, trash_of};

/// How long a lock holds that nobody renews: long enough for a busy machine to renew it in time.
const LEASE: Duration = Duration::from_millis(800);

fn options(way: Way) -> ObjectOptions {
    ObjectOptions { way, lease: LEASE, ..ObjectOptions::default() }
}

#[test]
fn a_second_run_is_refused_and_told_who_holds_the_lock() {
    for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
        let registry = Registry::new(&sample().0, Settings::of(provider));
        let first = registry.trash(options(Way::Auto));
        let held = first.lock().unwrap();
        let error = registry.trash(options(Way::Auto)).lock().unwrap_err();
        assert!(matches!(error, TrashError::LockedBy { .. }), "{error}");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        // It is renewed for as long as it is held.
        std::thread::sleep(LEASE * 2);
        registry.trash(options(Way::Auto)).lock().unwrap_err();
        drop(held);
        drop(registry.trash(options(Way::Auto)).lock().unwrap());
        assert_eq!(registry.bucket.contents(), registry.before, "{provider:?}");
    }
}

#[test]
fn the_lock_of_a_killed_run_ends_and_a_run_that_lost_it_changes_nothing_more() {
    let registry = Registry::new(&sample().0, Settings::of(Provider::S3));
    let first = registry.trash(options(Way::Auto));
    let held = first.lock().unwrap();
    // Its owner is gone, as far as the bucket can see: it writes nothing any more.
    std::mem::forget(held);
    let cut_off = trash_of(Arc::new(registry.bucket.client(Fault::Never)), options(Way::Auto));
    let key = format!("{}.regsql/lock", super::bucket::PREFIX);
    registry.bucket.write(&key, br#"{"host":"elsewhere","namespace":"","pid":1}"#);
    let second = cut_off.lock().unwrap();
    std::thread::sleep(LEASE + LEASE / 2);
    // The first one finds out and stops.
    let error = first.undo(&second, "20260101T000000Z").unwrap_err();
    assert!(matches!(error, TrashError::NoRun { .. }), "{error}");
    drop(second);
}
