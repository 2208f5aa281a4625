//! `undo` and `trash` as a person sees them.

use std::fs;

use insta::assert_snapshot;
use regsql::trash::{Move, MoveKind, PurgeOptions, StorageLock, TrashRun, purge};

use super::{Registry, now};
use crate::env::shown;

impl Registry {
    fn run(&self, arguments: &[&str]) -> String {
        let shown = shown(&self.regsql(arguments));
        shown.replace(&self.root().canonicalize().unwrap().display().to_string(), "ROOT")
    }
}

#[test]
fn undo_says_what_came_back_and_what_to_do_next() {
    let registry = Registry::new();
    registry.delete();
    assert_snapshot!(registry.run(&["undo", "--storage", "registry"]), @r#"
    exit 0
    --- stderr
    put back 1 tag, 1 revision, 1 layer link, 1 upload, 2 blobs, 1 empty directory (2.534 KiB) of run 20261121T070746Z
    run 20261121T070746Z is gone from the trash
    the database is older than this: `regsql scan` reads the storage again
    "#);
    assert_snapshot!(registry.run(&["undo", "--storage", "registry"]), @r#"
    exit 2
    --- stderr
    error: nothing is in the trash `ROOT/.regsql/trash`
    hint: what was purged or deleted with --no-trash cannot be put back
    "#);
}

#[test]
fn undo_takes_the_storage_from_the_database() {
    let registry = Registry::new();
    assert!(registry.regsql(&["scan", "registry"]).status.success());
    let run = registry.delete();
    let before = registry.regsql(&["undo", &run]);
    assert!(before.status.success(), "{}", shown(&before));
    fs::remove_file(registry.directory.path().join("registry.db")).unwrap();
    assert_snapshot!(registry.run(&["undo"]), @r#"
    exit 2
    --- stderr
    error: no --storage is given, and there is no database at `registry.db`
    hint: name the storage with --storage
    "#);
    assert_snapshot!(registry.run(&["trash", "list"]), @r#"
    exit 2
    --- stderr
    error: no --storage is given, and there is no database at `registry.db`
    hint: name the storage with --storage
    "#);
}

#[test]
fn a_conflict_is_exit_1_and_names_what_stays() {
    let registry = Registry::new();
    let run = registry.delete();
    let current = registry.below(registry.path(MoveKind::Tag)).join("current");
    fs::create_dir_all(&current).unwrap();
    fs::write(current.join("link"), format!("sha256:{}", "0".repeat(64))).unwrap();
    assert_snapshot!(registry.run(&["undo", &run, "--storage", "registry"]), @r#"
    exit 1
    --- stderr
    put back 1 revision, 1 layer link, 1 upload, 2 blobs, 1 empty directory (2.534 KiB) of run 20261121T070746Z
    warning: `docker/registry/v2/repositories/team/app/_manifests/tags/1.0` stays in the trash: something was put in its place since
    to have the old ones back, move away what is in their place and `regsql undo 20261121T070746Z`; else `regsql trash purge` frees them
    the database is older than this: `regsql scan` reads the storage again
    "#);
}

#[test]
fn the_trash_lists_what_a_purge_frees() {
    let registry = Registry::new();
    let run = registry.delete();
    let begun = {
        let storage = registry.storage();
        let lock = StorageLock::take(&storage).unwrap();
        TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap().run().to_owned()
    };
    fs::create_dir_all(registry.run_directory("20261122T000000Z")).unwrap();
    fs::create_dir_all(registry.run_directory("20261123T000000Z")).unwrap();
    let damaged = registry.run_directory("20261123T000000Z").join("moves.jsonl");
    fs::write(damaged, "{\"schema\":1}\n").unwrap();
    assert_eq!(begun, format!("{run}-02"));
    assert_snapshot!(registry.run(&["trash", "list", "--storage", "registry"]), @r#"
    exit 0
    --- stdout
    Runs in the trash

    run                  started            state            size  tags  revisions  layer links  uploads  blobs
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────
    20261121T070746Z     2026-11-21 07:07Z  finished    2.534 KiB     1          1            1        1      2
    20261121T070746Z-02  2026-11-21 07:07Z  unfinished        0 B     0          0            0        0      0
    20261122T000000Z                        not begun         0 B     0          0            0        0      0
    20261123T000000Z                        damaged           0 B     0          0            0        0      0
                                                        ─────────
    total                                               2.534 KiB

    4 rows · regsql trash purge frees it; regsql undo RUN puts it back
    --- stderr
    warning: run 20261123T000000Z: `ROOT/.regsql/trash/20261123T000000Z/moves.jsonl` line 1 is damaged: missing field `run` at line 1 column 12
    "#);
    assert_snapshot!(
        registry.run(&["trash", "list", "--storage", "registry", "-q", "-f", "ndjson"]), @r#"
    exit 0
    --- stdout
    {"run":"20261121T070746Z","started_at":"2026-11-21T07:07:46Z","state":"finished","size_bytes":2595,"tag_count":1,"revision_count":1,"layer_link_count":1,"upload_count":1,"blob_count":2}
    {"run":"20261121T070746Z-02","started_at":"2026-11-21T07:07:46Z","state":"unfinished","size_bytes":0,"tag_count":0,"revision_count":0,"layer_link_count":0,"upload_count":0,"blob_count":0}
    {"run":"20261122T000000Z","started_at":null,"state":"not begun","size_bytes":0,"tag_count":0,"revision_count":0,"layer_link_count":0,"upload_count":0,"blob_count":0}
    {"run":"20261123T000000Z","started_at":null,"state":"damaged","size_bytes":0,"tag_count":0,"revision_count":0,"layer_link_count":0,"upload_count":0,"blob_count":0}
    "#);
}

#[test]
fn what_is_in_use_keeps_nothing_else_from_a_purge() {
    let registry = Registry::new();
    let run = registry.delete();
    let blob = registry.path(MoveKind::Blob);
    // So an NFS client calls a removed file that somebody reads.
    let open = registry.taken(&run, blob).join(".nfs000000000001");
    fs::write(&open, "read by somebody").unwrap();
    let purge = ["trash", "purge", "--yes", "--storage", "registry"];
    let output = registry.run(&purge);
    assert!(output.starts_with("exit 1"), "{output}");
    assert!(output.contains("1 tag, 1 revision, 1 layer link, 1 upload, 1 blob"), "{output}");
    assert!(output.contains(&format!("`{}` is not gone", blob.display())), "{output}");
    assert!(output.contains("hint: something has a file open there"), "{output}");
    let left = registry.run_directory(&run).read_dir().unwrap();
    let gone =
        left.map(|entry| entry.unwrap().path()).find(|path| path.join(".nfs000000000001").exists());
    fs::remove_file(gone.unwrap().join(".nfs000000000001")).unwrap();
    let output = registry.run(&purge);
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn what_programs_of_a_nas_leave_in_the_trash_is_no_run_and_goes_with_one() {
    let registry = Registry::new();
    let run = registry.delete();
    let thumbnails = registry.run_directory("@eaDir");
    fs::create_dir_all(&thumbnails).unwrap();
    let files = registry.run_directory(&run).join("files");
    fs::write(files.join(".DS_Store"), "x").unwrap();
    fs::create_dir_all(files.join("@eaDir")).unwrap();
    fs::write(files.join("@eaDir/data@SynoEAStream"), "x").unwrap();
    for name in [".DS_Store", "Thumbs.db"] {
        fs::write(registry.run_directory(&run).join(name), "x").unwrap();
    }
    let list = registry.run(&["trash", "list", "--storage", "registry"]);
    assert!(list.contains("1 row") && !list.contains("@eaDir"), "{list}");
    let output = registry.run(&["trash", "purge", "--yes", "--storage", "registry"]);
    assert!(output.starts_with("exit 0"), "{output}");
    assert_eq!(registry.runs(), ["@eaDir"], "only what is beside the runs is left");
}

#[test]
fn a_purge_is_told_before_and_after() {
    let registry = Registry::new();
    registry.delete();
    let storage = ["--storage", "registry"];
    let purge = |more: &[&str]| {
        let arguments: Vec<&str> = ["trash", "purge", "--yes"]
            .into_iter()
            .chain(storage)
            .chain(more.iter().copied())
            .collect();
        registry.run(&arguments)
    };
    assert_snapshot!(purge(&["--dry-run"]), @r#"
    exit 0
    --- stderr
    would remove 1 tag, 1 revision, 1 layer link, 1 upload, 2 blobs (2.534 KiB) of run 20261121T070746Z
    would free 2.534 KiB
    "#);
    assert_snapshot!(purge(&["--older-than", "7d"]), @r#"
    exit 0
    --- stderr
    nothing to purge: 1 run is younger than --older-than, 2.534 KiB
    "#);
    assert_eq!(registry.runs().len(), 1);
    assert_snapshot!(purge(&["--older-than", "3m"]), @r#"
    exit 0
    --- stderr
    nothing to purge: 1 run is younger than --older-than, 2.534 KiB
    "#);
    assert_snapshot!(purge(&[]), @r#"
    exit 0
    --- stderr
    removed 1 tag, 1 revision, 1 layer link, 1 upload, 2 blobs (2.534 KiB) of run 20261121T070746Z
    freed 2.534 KiB
    "#);
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn a_run_that_was_stopped_is_not_purged_and_comes_back_when_asked_for() {
    let registry = Registry::new();
    let before = registry.tree();
    let run = registry.delete();
    fs::remove_file(registry.run_directory(&run).join("done.json")).unwrap();
    let arguments = ["trash", "purge", "--yes", "--storage", "registry", "--unfinished"];
    assert_snapshot!(registry.run(&arguments[..5]), @r#"
    exit 1
    --- stderr
    warning: run 20261121T070746Z was stopped before its end and stays: `regsql undo 20261121T070746Z` puts it back, and so do the next `regsql prune --delete` and `regsql trash purge --unfinished`
    freed 0 B
    "#);
    assert_eq!(registry.runs(), [run]);
    assert_snapshot!(registry.run(&arguments), @r#"
    exit 0
    --- stderr
    warning: run 20261121T070746Z was stopped before its end: 7 things were put back
    nothing to purge: the trash is empty
    "#);
    before.assert_same(&registry.tree(), "all of it is back");
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn a_purge_keeps_what_is_needed_again() {
    let registry = Registry::new();
    let before = registry.tree();
    let run = registry.delete();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let options = PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: false };
    let keep = |item: &Move| item.kind == MoveKind::Blob;
    let report = purge(&storage, &lock, &options, &keep).unwrap();
    assert_eq!((report.runs[0].kept.len(), report.runs[0].is_removed), (2, false));
    drop(lock);
    let report = registry.undo(&run);
    assert_eq!((report.restored.blobs, report.restored.tags), (2, 0));
    // The tag, its revision, the link and the upload were removed for good.
    assert_eq!(report.missing.len(), 4);
    let blob = registry.path(MoveKind::Blob).join("data");
    assert_eq!(registry.tree().nodes[&blob], before.nodes[&blob]);
}

#[test]
fn two_commands_do_not_change_a_storage_at_once() {
    let registry = Registry::new();
    registry.delete();
    let storage = registry.storage();
    let _lock = StorageLock::take(&storage).unwrap();
    assert_snapshot!(registry.run(&["undo", "--storage", "registry"]), @r#"
    exit 2
    --- stderr
    error: another regsql is changing this storage (it holds `ROOT/.regsql/lock`)
    hint: wait until it has ended
    "#);
}
