//! Killed at every call that changes the storage, in turn: nothing is lost, and undo restores all.

use std::fs;

use regsql::storage::StorageWriter;
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::{
    MoveKind, PurgeOptions, StorageLock, TrashError, TrashRun, lock_job, place_in_trash, purge,
    undo,
};

use super::{Registry, delete, now};
use crate::tree::Tree;

const EACCES: i32 = 13;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// Every file of `before` is in its place, or in a run under its path, with its bytes and mtime.
fn assert_nothing_lost(registry: &Registry, before: &Tree, when: &str) {
    let there = registry.tree();
    let trash = Tree::of(&registry.root());
    for (path, node) in before.nodes.iter().filter(|(_, node)| !node.is_directory()) {
        let is_in_trash = || {
            registry.runs().iter().any(|run| {
                let taken = place_in_trash(&registry.storage(), run, path);
                taken.is_ok_and(|taken| trash.nodes.get(&taken) == Some(node))
            })
        };
        let is_there = there.nodes.get(path) == Some(node);
        assert!(is_there || is_in_trash(), "{when}: {} is lost", path.display());
    }
}

/// Undoes whatever runs are there, as a person would after a crash.
fn undo_all(registry: &Registry, when: &str) {
    for run in registry.runs() {
        let report = registry.undo(&run);
        assert!(report.is_whole() && report.is_removed, "{when}: {report:?}");
    }
}

/// Runs `work` with a kill at each of its calls in turn, until it comes to its end; `check` looks
/// at what each leaves. Gives how many calls there were.
fn kill_at_every_call(
    prepare: impl Fn(&Registry),
    work: impl Fn(&dyn StorageWriter, &Registry) -> Result<(), TrashError>,
    check: impl Fn(&Registry, &Tree, &str),
) -> u64 {
    for call in 0.. {
        let registry = Registry::new();
        let before = registry.tree();
        prepare(&registry);
        let storage = FaultyStorage::new(registry.storage(), Fault::From(call));
        let result = work(&storage, &registry);
        let when = format!("killed at call {call}");
        check(&registry, &before, &when);
        if storage.calls() <= call {
            assert!(result.is_ok(), "{result:?}");
            return call;
        }
    }
    unreachable!()
}

#[test]
fn a_deletion_killed_anywhere_loses_nothing_and_is_undone() {
    let calls = kill_at_every_call(
        |_| {},
        |storage, registry| delete(storage, &registry.moves).map(drop),
        |registry, before, when| {
            assert_nothing_lost(registry, before, when);
            undo_all(registry, when);
            before.assert_same(&registry.tree(), when);
        },
    );
    assert!(calls > 20, "{calls} calls");
}

#[test]
fn an_undo_killed_anywhere_goes_on_when_called_again() {
    let calls = kill_at_every_call(
        |registry| drop(registry.delete()),
        |storage, registry| {
            let lock = StorageLock::take(storage)?;
            for run in registry.runs() {
                let report = undo(storage, &lock, &run)?;
                // A kill shows as failures.
                if !report.failures.is_empty() {
                    break;
                }
            }
            Ok(())
        },
        |registry, before, when| {
            assert_nothing_lost(registry, before, when);
            undo_all(registry, when);
            before.assert_same(&registry.tree(), when);
        },
    );
    assert!(calls > 10, "{calls} calls");
}

#[test]
fn a_copy_killed_anywhere_is_no_half_link_in_the_way_of_undo() {
    let copies = |registry: &Registry| {
        let of_kind = |kind| registry.moves.iter().filter(move |item| item.kind == kind);
        let items = of_kind(MoveKind::Revision).chain(of_kind(MoveKind::LayerLink));
        items.map(|item| item.path.clone()).collect::<Vec<_>>()
    };
    kill_at_every_call(
        |_| {},
        |storage, registry| {
            let lock = StorageLock::take(storage)?;
            let run = TrashRun::begin(storage, &lock, now(), &registry.moves)?;
            for path in copies(registry) {
                let error = |source| TrashError::Write { path: path.clone(), source };
                run.copy(&path).map_err(error)?;
                // What the registry does for a DELETE.
                fs::remove_file(registry.below(&path).join("link")).map_err(error)?;
            }
            Ok(())
        },
        |registry, before, when| {
            assert_nothing_lost(registry, before, when);
            undo_all(registry, when);
            before.assert_same(&registry.tree(), when);
        },
    );
}

#[test]
fn an_undo_killed_while_it_drops_a_spare_copy_goes_on_when_called_again() {
    kill_at_every_call(
        |registry| {
            let storage = registry.storage();
            let lock = StorageLock::take(&storage).unwrap();
            let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
            run.copy(registry.path(MoveKind::Tag)).unwrap();
            run.copy(registry.path(MoveKind::LayerLink)).unwrap();
        },
        |storage, registry| {
            let lock = StorageLock::take(storage)?;
            registry.runs().iter().try_for_each(|run| undo(storage, &lock, run).map(drop))
        },
        |registry, before, when| {
            before.assert_same(&registry.tree(), when);
            undo_all(registry, when);
            before.assert_same(&registry.tree(), when);
        },
    );
}

const EVERYTHING: PurgeOptions =
    PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: false };

fn purge_all(storage: &dyn StorageWriter) -> Result<(), TrashError> {
    let lock = StorageLock::take(storage)?;
    purge(storage, &lock, &EVERYTHING, &|_| false).map(drop)
}

#[test]
fn a_purge_killed_anywhere_is_finished_by_the_next_and_touches_nothing_else() {
    let calls = kill_at_every_call(
        |registry| drop(registry.delete()),
        |storage, _| purge_all(storage),
        |registry, _, when| {
            let rest = registry.tree();
            purge_all(&registry.storage()).unwrap();
            assert_eq!(registry.runs(), [""; 0], "{when}");
            rest.assert_same(&registry.tree(), when);
            let untouched = Registry::new();
            untouched.delete();
            untouched.tree().assert_same(&registry.tree(), when);
        },
    );
    assert!(calls > 20, "{calls} calls");
}

#[test]
fn a_purge_that_fails_at_anything_says_so_and_the_next_one_ends_it() {
    for errno in [EIO, EACCES] {
        for call in 0.. {
            let registry = Registry::new();
            drop(registry.delete());
            let inner = registry.storage();
            let lock = StorageLock::take(&inner).unwrap();
            let storage = FaultyStorage::new(registry.storage(), Fault::Once(call, errno));
            let report = purge(&storage, &lock, &EVERYTHING, &|_| false).unwrap();
            drop(lock);
            if storage.calls() <= call {
                break;
            }
            let when = format!("error {errno} at call {call}");
            // Space that cannot be set aside for the next deletion is no failure of this.
            let is_ended = report.runs.iter().all(|run| run.is_removed);
            assert_eq!(report.failed.is_empty(), is_ended, "{when}");
            purge_all(&registry.storage()).unwrap();
            assert_eq!(registry.runs(), [""; 0], "{when}");
        }
    }
}

#[test]
fn an_undo_after_a_killed_purge_puts_back_whole_things_only() {
    kill_at_every_call(
        |registry| drop(registry.delete()),
        |storage, _| purge_all(storage),
        |registry, before, when| {
            for run in registry.runs() {
                let report = registry.undo(&run);
                assert!(report.conflicts.is_empty() && report.failures.is_empty(), "{when}");
            }
            let after = registry.tree();
            for item in registry.moves.iter().filter(|item| item.kind != MoveKind::Directory) {
                let below = |tree: &Tree| {
                    let nodes = tree.nodes.iter().filter(|(path, _)| path.starts_with(&item.path));
                    nodes.map(|(path, node)| (path.clone(), node.clone())).collect::<Vec<_>>()
                };
                let found = below(&after);
                let name = item.path.display();
                assert!(found.is_empty() || found == below(before), "{when}: half of {name}");
            }
            // A tag that is back has everything that its image needs.
            let is_back = |kind| registry.below(registry.path(kind)).exists();
            assert!(!is_back(MoveKind::Tag) || is_back(MoveKind::Blob), "{when}");
        },
    );
}

#[test]
fn an_error_of_one_call_ends_a_deletion_and_undo_restores_all() {
    let calls = {
        let registry = Registry::new();
        let storage = FaultyStorage::new(registry.storage(), Fault::Never);
        delete(&storage, &registry.moves).unwrap();
        storage.calls()
    };
    for errno in [EIO, ENOSPC, EACCES, EROFS] {
        for call in 0..calls {
            let registry = Registry::new();
            let before = registry.tree();
            let storage = FaultyStorage::new(registry.storage(), Fault::Once(call, errno));
            let result = delete(&storage, &registry.moves);
            let when = format!("error {errno} at call {call}: {result:?}");
            assert_nothing_lost(&registry, &before, &when);
            undo_all(&registry, &when);
            before.assert_same(&registry.tree(), &when);
        }
    }
}

#[test]
fn a_begin_that_fails_leaves_no_run_and_moves_nothing() {
    for errno in [EIO, ENOSPC, EACCES, EROFS] {
        for call in 0.. {
            let registry = Registry::new();
            let before = registry.tree();
            let inner = registry.storage();
            let lock = StorageLock::take(&inner).unwrap();
            let storage = FaultyStorage::new(registry.storage(), Fault::Once(call, errno));
            let result = TrashRun::begin(&storage, &lock, now(), &registry.moves);
            before.assert_same(&registry.tree(), "after begin");
            match result {
                Err(error) => {
                    assert!(matches!(error, TrashError::Write { .. }), "{error}");
                    let has_hint = error.hint().is_some();
                    assert_eq!(has_hint, errno != EIO, "{error:?}");
                    assert_eq!(registry.runs(), [""; 0], "error {errno} at call {call}");
                }
                Ok(_) => break,
            }
        }
    }
}

#[test]
fn a_disk_too_full_for_a_lock_file_is_still_locked() {
    let registry = Registry::new();
    // The root's directory is locked first, then `.regsql` is made.
    let full = FaultyStorage::new(registry.storage(), Fault::Once(1, ENOSPC));
    let lock = StorageLock::take(&full).unwrap();
    assert!(!registry.below(".regsql").exists());
    let other = registry.storage();
    assert!(matches!(StorageLock::take(&other), Err(TrashError::Locked(_))));
    drop(lock);
    drop(StorageLock::take(&other).unwrap());
}

#[test]
fn a_job_on_a_disk_too_full_for_its_lock_file_runs_and_on_one_that_cannot_be_written_to_does_not() {
    for (errno, runs) in [(ENOSPC, true), (EROFS, false), (EACCES, false), (EIO, false)] {
        let registry = Registry::new();
        let storage = FaultyStorage::new(registry.storage(), Fault::Once(0, errno));
        match lock_job(&storage) {
            Ok(lock) => assert!(runs && lock.is_none(), "error {errno}"),
            Err(error) => assert!(!runs && matches!(error, TrashError::Write { .. }), "{error}"),
        }
    }
}
