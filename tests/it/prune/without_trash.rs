//! Deleting at once: what is gone then must be needed by nothing, an undo of an earlier run included.

use std::fs;

use regsql::sample::{RegistryBuilder, paths};

use super::Disk;
use crate::tree::Tree;

const DELETE: [&str; 6] =
    ["--min-age", "0s", "--delete", "--offline", "--yes", "--max-delete-percent=100"];

fn run(disk: &Disk, arguments: &[&str]) -> (Option<i32>, String) {
    let output = disk.regsql(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn prune(disk: &Disk, arguments: &[&str]) -> (Option<i32>, String) {
    run(disk, &[&["prune"], arguments, &DELETE[..]].concat())
}

fn is_gone(disk: &Disk, digest: &regsql::model::Digest) -> bool {
    !disk.below(paths::blob_directory(digest)).exists()
}

#[test]
fn a_deletion_at_once_leaves_what_an_undo_of_an_earlier_run_needs_until_that_is_purged() {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("the base of both", 3_000);
    let mut own = Vec::new();
    for repository in ["shop/web", "shop/api"] {
        let layer = registry.layer(repository, 500);
        registry.image(repository).layers([&base, &layer]).push_tag("1.0");
        own.push(layer.digest);
    }
    let disk = Disk::of(&registry);
    let before = disk.tree();
    disk.regsql(&["scan", "registry"]);

    // The base stays for the other image, which goes next, and without a way back.
    let (code, text) = prune(&disk, &["--target", "shop/web:1.0"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("select nothing"), "{text}");
    let at_once = ["--target", "shop/api:1.0", "--garbage", "--no-trash"];
    let (code, text) = prune(&disk, &at_once);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Stays: 1 needed to undo what is in the trash"), "{text}");
    assert!(text.contains("after regsql trash purge a later run takes them"), "{text}");
    assert!(is_gone(&disk, &own[1]) && !is_gone(&disk, &base.digest), "{text}");

    let (code, text) = run(&disk, &["undo"]);
    assert_eq!(code, Some(0), "everything is back and can be pulled: {text}");
    let of_web = |mut tree: Tree| {
        tree.nodes.retain(|path, _| path.starts_with(paths::repository("shop/web")));
        tree
    };
    of_web(before).assert_same(&of_web(disk.tree()), "after the undo");

    // The other way round: when the trash is empty, nothing needs it.
    prune(&disk, &["--target", "shop/web:1.0"]);
    prune(&disk, &["--garbage", "--no-trash"]);
    let (code, text) = run(&disk, &["trash", "purge", "--yes"]);
    assert_eq!(code, Some(0), "{text}");
    prune(&disk, &["--garbage", "--no-trash"]);
    assert!(is_gone(&disk, &base.digest));
}

#[test]
fn what_a_tag_in_the_trash_leads_to_stays_although_it_is_garbage_now() {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 500);
    for repository in ["able", "app"] {
        registry.image(repository).layers([&layer]).push_tag("1.0");
        registry.image(repository).label("number", "2").push_tag("2.0");
    }
    let disk = Disk::of(&registry);
    disk.regsql(&["scan", "registry"]);
    let before = disk.tree();
    let (code, text) = prune(&disk, &["--target", "app:1.0", "--keep-revisions"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = prune(&disk, &["untagged-revisions", "--garbage", "--no-trash"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("needed to undo what is in the trash"), "{text}");
    let (code, text) = run(&disk, &["undo"]);
    assert_eq!(code, Some(0), "{text}");
    before.assert_same(&disk.tree(), &text);
}

#[test]
fn a_run_that_cannot_be_read_may_need_anything() {
    let mut registry = RegistryBuilder::new();
    registry.blob("orphan");
    registry.image("app").push_tag("1.0");
    let disk = Disk::of(&registry);
    disk.regsql(&["scan", "registry"]);
    prune(&disk, &["--target", "app:1.0", "--keep-revisions"]);
    let run = disk.below(".regsql/trash").join(&disk.runs()[0]);
    for entry in fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("moves")) {
            fs::write(path, "nonsense\n").unwrap();
        }
    }
    let before = disk.tree();
    let (code, text) = prune(&disk, &["--garbage", "--no-trash"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("in the trash cannot be read"), "{text}");
    before.assert_same(&disk.tree(), &text);
}

#[test]
fn nothing_at_all_goes_while_the_blobs_are_gone() {
    let mut registry = RegistryBuilder::new();
    registry.image("app").push_tag("1.0");
    let disk = Disk::of(&registry);
    let uploads = disk.below(paths::repository("app")).join("_uploads/0");
    fs::create_dir_all(&uploads).unwrap();
    fs::write(uploads.join("startedat"), "2020-01-02T03:04:05Z").unwrap();
    fs::create_dir_all(disk.below(paths::repository("empty")).join("_layers")).unwrap();
    let blobs = disk.below("docker/registry/v2/blobs");
    fs::remove_dir_all(&blobs).unwrap();
    let before = disk.tree();
    for is_there in [false, true] {
        if is_there {
            fs::create_dir(&blobs).unwrap();
        }
        disk.regsql(&["scan", "registry"]);
        for how in [&["--garbage"][..], &["--target", "app:1.0"], &["--garbage", "--no-trash"]] {
            let (code, text) = prune(&disk, how);
            assert_eq!(code, Some(2), "{text}");
            assert!(text.contains("there are links, and not one blob"), "{text}");
        }
        if is_there {
            fs::remove_dir(&blobs).unwrap();
        }
        before.assert_same(&disk.tree(), "nothing goes");
    }
}
