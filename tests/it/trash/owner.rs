//! What comes back belongs to whom it belonged: a registry seldom runs as the user of its backup
//! and cleanup jobs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use regsql::trash::{MoveKind, StorageLock, TrashRun};

use super::{Registry, now};
use crate::tree::Tree;

/// `nobody`: the registry's user here.
const REGISTRY: u32 = 65_534;

/// Gives all of the registry to another user, with modes that no default makes.
fn registry_of_another_user() -> Registry {
    assert!(rustix::process::geteuid().is_root(), "only root can give files away");
    let registry = Registry::new();
    give(&registry.root());
    for path in registry.tree().nodes.keys() {
        give(&registry.below(path));
    }
    registry
}

fn give(path: &Path) {
    chown(path, Some(REGISTRY), Some(REGISTRY)).unwrap();
    let mode = if path.is_dir() { 0o2770 } else { 0o640 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn undo_gives_directories_back_to_the_registrys_user() {
    let registry = registry_of_another_user();
    // Its own user and mode, unlike those of its parent.
    let uploads = registry.below(registry.path(MoveKind::Directory));
    chown(&uploads, Some(1_234), Some(4_321)).unwrap();
    fs::set_permissions(&uploads, fs::Permissions::from_mode(0o711)).unwrap();
    let before = registry.tree();
    let run = registry.delete();
    // Parents that the list does not name went as well, as after a cleanup by hand.
    fs::remove_dir_all(registry.below("docker/registry/v2/repositories/team/app/_layers")).unwrap();
    let report = registry.undo(&run);
    assert!(report.is_whole() && report.is_removed, "{report:?}");
    let after = registry.tree();
    for (path, node) in &after.nodes {
        assert_eq!(Some(node), before.nodes.get(path), "{}", path.display());
    }
}

#[test]
fn a_copy_that_is_put_back_is_still_the_registrys() {
    let registry = registry_of_another_user();
    let before = registry.tree();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    let tag = registry.path(MoveKind::Tag);
    run.copy(tag).unwrap();
    // The registry's own API deletes it, and its empty parents.
    fs::remove_dir_all(registry.below(tag).parent().unwrap()).unwrap();
    let name = run.run().to_owned();
    drop(run);
    drop(lock);
    registry.undo(&name);
    let restored = Tree::of(&registry.below(tag));
    assert!(!restored.nodes.is_empty());
    for (path, node) in registry.tree().nodes {
        assert_eq!(Some(&node), before.nodes.get(&path), "{}", path.display());
    }
}

#[test]
fn a_list_of_a_regsql_that_recorded_no_owners_is_undone() {
    let registry = registry_of_another_user();
    let before = registry.tree();
    let run = registry.delete();
    let list = registry.run_directory(&run).join("moves.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    let access = format!(r#","access":{{"uid":{REGISTRY},"gid":{REGISTRY},"mode":1528}}"#);
    assert_eq!(text.matches(&access).count(), 1, "{text}");
    fs::write(&list, text.replace(&access, "")).unwrap();
    assert!(registry.undo(&run).is_whole());
    before.assert_same(&registry.tree(), "after undo");
}
