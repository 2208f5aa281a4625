//! Lists and directories that a stranger wrote.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use proptest::prelude::*;
use regsql::storage::StorageWriter as _;
use regsql::trash::{
    MoveKind, PurgeOptions, RunState, StorageLock, TrashError, TrashRun, list, purge, undo,
};

use super::{Registry, now};
use crate::tree::{Node, Tree};

/// Writes a list in place of a run's own.
fn write_list(registry: &Registry, run: &str, list: &[u8]) {
    fs::write(registry.run_directory(run).join("moves.jsonl"), list).unwrap();
}

fn read_list(registry: &Registry, run: &str) -> String {
    fs::read_to_string(registry.run_directory(run).join("moves.jsonl")).unwrap()
}

fn undo_error(registry: &Registry, run: &str) -> TrashError {
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    undo(&storage, &lock, run).unwrap_err()
}

#[test]
fn a_list_that_leads_elsewhere_is_refused_with_its_line() {
    let registry = Registry::new();
    let run = registry.delete();
    let after = registry.tree();
    // Every move as a line with its path.
    let header = read_list(&registry, &run).lines().next().unwrap().to_owned();
    let moves = registry.moves.iter().map(|item| serde_json::to_string(item).unwrap());
    let list = std::iter::once(header).chain(moves).map(|line| line + "\n").collect::<String>();
    let tag = registry.moves[0].path.to_str().unwrap();
    for elsewhere in [
        "../outside",
        "/etc/passwd",
        "docker/registry/v2/blobs/../../../../outside",
        "docker/registry/v2/blobs",
        "docker/registry/v2/blobs/",
        ".regsql/trash",
        "",
        "docker/registry/v2/blobs/x\\\\x00",
        "docker/registry/v2/blobs/\\\\x2e\\\\x2e/x",
        "docker/registry/v2/blobs/\\\\zz",
    ] {
        write_list(&registry, &run, list.replacen(tag, elsewhere, 1).as_bytes());
        let error = undo_error(&registry, &run);
        assert!(matches!(error, TrashError::Damaged { line: 2, .. }), "{elsewhere}: {error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(&format!(".regsql/trash/{run}/files")), "{hint}");
    }
    write_list(&registry, &run, list.as_bytes());
    after.assert_same(&registry.tree(), "after refusals");
    assert_eq!(fs::read_dir(registry.directory.path()).unwrap().count(), 1);
    assert!(registry.undo(&run).is_removed);
}

#[test]
fn a_list_that_was_cut_doubled_or_is_of_another_version_is_refused() {
    let registry = Registry::new();
    let run = registry.delete();
    let list = read_list(&registry, &run);
    let lines: Vec<&str> = list.lines().collect();
    let without_last = format!("{}\n", lines[..lines.len() - 1].join("\n"));
    let doubled = format!("{list}{}\n", lines[2]);
    for damaged in ["", "\n", "{}\n", &list[..list.len() - 1], &without_last, &doubled] {
        write_list(&registry, &run, damaged.as_bytes());
        let error = undo_error(&registry, &run);
        assert!(matches!(error, TrashError::Damaged { .. }), "{error}");
    }
    write_list(&registry, &run, list.replacen("\"schema\":2", "\"schema\":3", 1).as_bytes());
    assert!(matches!(undo_error(&registry, &run), TrashError::Newer { schema: 3, .. }));
}

#[test]
fn a_damaged_run_is_listed_and_not_purged() {
    let registry = Registry::new();
    let run = registry.delete();
    let tag = registry.taken(&run, registry.path(MoveKind::Tag));
    write_list(&registry, &run, b"hello");
    let storage = registry.storage();
    let runs = list(&storage).unwrap();
    assert!(matches!(&runs[..], [only] if matches!(only.state, RunState::Damaged(_))));
    let options = PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: true };
    let lock = StorageLock::take(&storage).unwrap();
    let report = purge(&storage, &lock, &options, &|_| false).unwrap();
    assert_eq!((report.failed.len(), report.runs.len()), (1, 0));
    assert!(tag.join("current/link").is_file());
}

#[test]
fn a_file_where_the_trash_had_directories_is_one_damaged_run_among_others() {
    let registry = Registry::new();
    let run = registry.delete();
    registry.undo(&run);
    let run = registry.delete();
    let files = registry.run_directory(&run).join("files");
    fs::rename(&files, registry.directory.path().join("files")).unwrap();
    fs::write(&files, "").unwrap();
    let runs = list(&registry.storage()).unwrap();
    assert!(matches!(&runs[..], [only] if matches!(only.state, RunState::Damaged(_))));
    assert!(!registry.undo(&run).is_whole());
}

#[test]
fn links_in_the_place_of_the_trash_are_not_followed() {
    for planted in [".regsql", ".regsql/lock", ".regsql/trash"] {
        let registry = Registry::new();
        let before = registry.tree();
        let outside = registry.directory.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        let place = registry.below(planted);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(&outside, &place).unwrap();
        let storage = registry.storage();
        let error = StorageLock::take(&storage)
            .and_then(|lock| {
                TrashRun::begin(&storage, &lock, now(), &registry.moves).map(|run| run.run().len())
            })
            .unwrap_err();
        let told = error.to_string();
        assert!(told.contains(planted), "{told}");
        before.assert_same(&registry.tree(), planted);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{planted}");
    }
}

#[test]
fn links_in_a_run_are_not_followed() {
    let registry = Registry::new();
    let before = registry.tree();
    let outside = registry.directory.path().join("outside");
    fs::create_dir_all(outside.join("registry")).unwrap();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    let files = registry.run_directory(run.run()).join("files");
    fs::remove_dir(&files).unwrap();
    symlink(&outside, &files).unwrap();
    for item in &registry.moves[..5] {
        assert!(run.take(&item.path).is_err(), "{}", item.path.display());
        assert!(run.copy(&item.path).is_err(), "{}", item.path.display());
    }
    assert_eq!(fs::read_dir(outside.join("registry")).unwrap().count(), 0);
    before.assert_same(&registry.tree(), "after taking failed");
    // A link in the place of a run is no run.
    symlink(&outside, registry.run_directory("20300101T000000Z")).unwrap();
    assert!(undo(&storage, &lock, "20300101T000000Z").is_err());
    let options = PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: true };
    let report = purge(&storage, &lock, &options, &|_| false).unwrap();
    assert!(report.failed.iter().any(|(run, _)| run == "20300101T000000Z"), "{report:?}");
    assert!(outside.join("registry").is_dir());
}

#[test]
fn a_run_is_named_by_its_name_alone() {
    let registry = Registry::new();
    for run in ["..", "../..", "/", "", "a/b", "."] {
        assert!(matches!(undo_error(&registry, run), TrashError::NotARunName(_)), "{run}");
    }
    assert!(matches!(undo_error(&registry, "2020"), TrashError::NoRun { .. }));
}

#[test]
fn two_runs_never_meet_and_a_killed_one_is_no_obstacle() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let error = StorageLock::take(&registry.storage()).unwrap_err();
    let path = registry.below(".regsql/lock").display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
    drop(lock);

    // On NFS the directory cannot be locked; the file alone must do.
    let mut holder = Command::new("flock")
        .args(["--no-fork", "--exclusive"])
        .arg(registry.below(".regsql/lock"))
        .args(["sleep", "1000"])
        .spawn()
        .expect("flock of util-linux");
    let is_held = |_: &u32| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        storage.lock(".regsql/lock".as_ref()).unwrap().is_none()
    };
    assert!((0..500).find(is_held).is_some(), "flock never took the lock");
    assert!(matches!(StorageLock::take(&storage), Err(TrashError::Locked(_))));
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(StorageLock::take(&storage).unwrap());
}

/// A change to some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Cut(usize, usize),
    Copy(usize, usize, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = 0..2000_usize;
    let words = prop::sample::select(vec!["../", "/", "\\\\x2e", "\"", "\n", "blobs", "null", "{"]);
    let one = prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at.clone(), words).prop_map(|(at, word)| Change::Insert(at, word.into())),
        (at.clone(), 0..300_usize).prop_map(|(at, count)| Change::Cut(at, count)),
        (at.clone(), 0..300_usize, at).prop_map(|(from, count, to)| Change::Copy(from, count, to)),
    ];
    prop::collection::vec(one, 1..4)
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    let end = bytes.len();
    match change {
        Change::Set(at, byte) if at < end => bytes[at] = byte,
        Change::Set(..) => {}
        Change::Insert(at, word) => drop(bytes.splice(at.min(end)..at.min(end), word)),
        Change::Cut(at, count) => drop(bytes.drain(at.min(end)..(at + count).min(end))),
        Change::Copy(from, count, to) => {
            let copied = bytes[from.min(end)..(from + count).min(end)].to_vec();
            drop(bytes.splice(to.min(end)..to.min(end), copied));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_list_loses_a_file_or_reaches_outside(changes in changes(), purges: bool) {
        let registry = Registry::new();
        let before = registry.tree();
        let run = registry.delete();
        let outside = registry.directory.path().join("outside");
        fs::write(&outside, "untouched").unwrap();
        let mut bytes = fs::read(registry.run_directory(&run).join("moves.jsonl")).unwrap();
        for change in changes {
            apply(&mut bytes, change);
        }
        write_list(&registry, &run, &bytes);
        let storage = registry.storage();
        let lock = StorageLock::take(&storage).unwrap();
        drop(list(&storage).unwrap());
        let kept = registry.tree();
        if purges {
            let options =
                PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: true };
            drop(purge(&storage, &lock, &options, &|_| false));
            kept.assert_same(&registry.tree(), "a purge touches the trash only");
        } else {
            drop(undo(&storage, &lock, &run));
            let files = |tree: &Tree| {
                let nodes = tree.nodes.values().filter(|node| matches!(node, Node::File { .. }));
                nodes.map(|node| format!("{node:?}")).collect::<std::collections::BTreeSet<_>>()
            };
            let all = files(&Tree::of(&registry.root()));
            prop_assert!(files(&before).is_subset(&all), "a file is lost");
        }
        prop_assert_eq!(fs::read(&outside).unwrap(), b"untouched");
        let names = fs::read_dir(registry.directory.path()).unwrap().count();
        prop_assert_eq!(names, 2);
    }
}
