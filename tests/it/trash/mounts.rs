//! Disks that are full, read-only, or not the same. A mount lasts as long as the namespace of the
//! process that made it, so a test starts itself again in one of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use regsql::trash::{MoveKind, StorageLock, TrashError, TrashRun, direct};

use super::{Registry, delete, now, open};
use crate::tree::Tree;

/// Tells the inner process where the registry is.
const ROOT: &str = "REGSQL_TEST_MOUNTED_ROOT";

/// Runs `inside` on the registry's root after the shell commands `mounts`, in which `$1` is that
/// root. `test` is the full name of the test that calls.
fn with_mounts(test: &str, mounts: &str, inside: impl Fn(&Path)) {
    if let Some(root) = std::env::var_os(ROOT) {
        return inside(&PathBuf::from(root));
    }
    let registry = Registry::new();
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        let is_root = rustix::process::geteuid().is_root();
        command.args(if is_root { &["-m"] as &[_] } else { &["-r", "-m"] });
        command.args(["sh", "-e", "-c", script, "sh"]).arg(registry.root());
        command
    };
    let tried = namespace("mount -t tmpfs none \"$1\"").output().expect("unshare of util-linux");
    if !tried.status.success() {
        // Containers often forbid mounts.
        let reason = String::from_utf8_lossy(&tried.stderr).into_owned();
        let mut stderr = std::io::stderr();
        return writeln!(stderr, "{test} needs mounts: {reason}").unwrap();
    }
    let again = "exec \"$2\" --exact --nocapture --test-threads=1 \"$3\"";
    let output = namespace(&format!("{mounts}\n{again}"))
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(ROOT, registry.root())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn moves() -> Vec<regsql::trash::Move> {
    let mut moves = Vec::new();
    drop(Registry::builder(&mut moves));
    moves
}

#[test]
fn a_full_disk_begins_nothing_and_direct_removal_needs_no_space() {
    let mounts = "mount -t tmpfs -o size=512k none \"$1\"";
    with_mounts(
        "trash::mounts::a_full_disk_begins_nothing_and_direct_removal_needs_no_space",
        mounts,
        |root| {
            let mut moves = Vec::new();
            Registry::builder(&mut moves).write_to(root).unwrap();
            let mut filler = fs::File::create(root.join("filler")).unwrap();
            while filler.write_all(&[1; 4096]).is_ok() {}
            let before = Tree::of_registry(root);
            let storage = open(root);
            let lock = StorageLock::take(&storage).unwrap();
            let error = TrashRun::begin(&storage, &lock, now(), &moves).err().unwrap();
            assert!(error.hint().unwrap().contains("--no-trash"), "{error}");
            before.assert_same(&Tree::of_registry(root), "after a failed begin");
            let runs = fs::read_dir(root.join(".regsql/trash"));
            assert!(runs.map_or(0, Iterator::count) == 0);
            for item in moves.iter().filter(|item| item.kind != MoveKind::Directory) {
                assert!(direct::remove(&storage, &item.path, None).unwrap().is_empty());
                assert!(!root.join(&item.path).exists());
            }
        },
    );
}

#[test]
fn a_read_only_storage_is_refused_at_the_lock() {
    let mounts = "mount --bind \"$1\" \"$1\"\nmount -o remount,bind,ro \"$1\"";
    with_mounts("trash::mounts::a_read_only_storage_is_refused_at_the_lock", mounts, |root| {
        let before = Tree::of(root);
        let storage = open(root);
        let error = StorageLock::take(&storage).unwrap_err();
        assert_eq!(error.hint().unwrap(), "the storage is mounted read-only");
        assert!(error.to_string().contains(".regsql"), "{error}");
        before.assert_same(&Tree::of(root), "after the refusal");
    });
}

#[test]
fn blobs_on_another_mount_are_refused_before_anything_moves() {
    // The same file system twice: the device is the same, and a rename fails all the same.
    let mounts = "mount --bind \"$1/docker/registry/v2/blobs\" \"$1/docker/registry/v2/blobs\"";
    with_mounts(
        "trash::mounts::blobs_on_another_mount_are_refused_before_anything_moves",
        mounts,
        |root| refused(root, "docker/registry/v2/blobs"),
    );
}

#[test]
fn one_repository_on_another_mount_is_refused_before_anything_moves() {
    let mounts =
        "team=\"$1/docker/registry/v2/repositories/team\"\nmount --bind \"$team\" \"$team\"";
    with_mounts(
        "trash::mounts::one_repository_on_another_mount_is_refused_before_anything_moves",
        mounts,
        |root| refused(root, "docker/registry/v2/repositories/team/app"),
    );
}

#[test]
fn a_disk_without_room_for_the_directories_of_a_run_has_none_for_one_move() {
    let mounts = "mount -t tmpfs -o size=16k none \"$1\"";
    with_mounts(
        "trash::mounts::a_disk_without_room_for_the_directories_of_a_run_has_none_for_one_move",
        mounts,
        |root| {
            fs::create_dir_all(root.join("docker/registry/v2/blobs")).unwrap();
            let error = TrashRun::check_room(&open(root), 1).unwrap_err();
            let TrashError::NoRoom { needed_bytes, free_bytes, .. } = error else {
                panic!("{error}")
            };
            assert!(free_bytes <= 16 << 10 && needed_bytes > free_bytes, "{needed_bytes}");
        },
    );
}

#[test]
fn blobs_behind_a_link_to_another_disk_are_refused_and_on_the_same_disk_moved() {
    let registry = Registry::new();
    let blobs = registry.below("docker/registry/v2/blobs");
    let same = registry.directory.path().join("blobs");
    fs::rename(&blobs, &same).unwrap();
    std::os::unix::fs::symlink(&same, &blobs).unwrap();
    let before = Tree::of(&same);
    let run = delete(&registry.storage(), &registry.moves).unwrap();
    assert!(registry.undo(&run).is_removed);
    before.assert_same(&Tree::of(&same), "after undo");

    // Every Linux has one in memory, where the others may be: then it is that with the program.
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let others = ["/dev/shm", env!("CARGO_TARGET_TMPDIR")].map(Path::new);
    let other = others.into_iter().find(|other| device(other) != device(&registry.root()));
    let other = tempfile::tempdir_in(other.unwrap()).unwrap();
    fs::remove_file(&blobs).unwrap();
    std::os::unix::fs::symlink(other.path(), &blobs).unwrap();
    refused(&registry.root(), "docker/registry/v2/blobs");
}

fn refused(root: &Path, on_other_mount: &str) {
    let before = Tree::of_registry(root);
    let error = delete(&open(root), &moves()).unwrap_err();
    let TrashError::OtherMount { path, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(root.join(on_other_mount)), "{error}");
    assert!(error.hint().unwrap().contains("--no-trash"));
    before.assert_same(&Tree::of_registry(root), "after the refusal");
    assert_eq!(fs::read_dir(root.join(".regsql/trash")).unwrap().count(), 0);
}
