//! Deleting at once.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use regsql::sample::paths;
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::{MoveKind, direct};

use super::Registry;

#[test]
fn a_tag_removed_at_once_works_until_its_last_file_goes() {
    let last = paths::tag_current("team/app", "1.0");
    for call in 0.. {
        let registry = Registry::new();
        let tag = registry.path(MoveKind::Tag);
        let storage = FaultyStorage::new(registry.storage(), Fault::From(call));
        let result = direct::remove(&storage, tag, Some(last.as_ref()));
        if storage.calls() <= call {
            assert!(result.unwrap().is_empty());
            assert!(!registry.below(tag).exists());
            assert!(call >= 7, "{call} calls");
            return;
        }
        // Only after the index, link and three directories, the current link goes.
        assert_eq!(registry.below(&last).exists(), call <= 4, "killed at call {call}");
    }
}

#[test]
fn links_are_removed_and_not_followed() {
    let registry = Registry::new();
    let outside = registry.directory.path().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    let blob = registry.path(MoveKind::Blob);
    std::os::unix::fs::symlink(&outside, registry.below(blob).join("link")).unwrap();
    assert!(direct::remove(&registry.storage(), blob, None).unwrap().is_empty());
    assert!(!registry.below(blob).exists() && outside.join("deep").is_dir());
    // Nor is one on the way.
    let upload = registry.path(MoveKind::Upload);
    let uploads = registry.below(upload.parent().unwrap());
    fs::rename(&uploads, registry.directory.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(registry.directory.path().join("moved"), &uploads).unwrap();
    assert!(direct::remove(&registry.storage(), upload, None).is_err());
    let name = upload.file_name().unwrap();
    assert!(registry.directory.path().join("moved").join(name).join("data").is_file());
}

#[test]
fn what_an_nfs_client_holds_open_is_told_and_left() {
    let registry = Registry::new();
    let blob = registry.path(MoveKind::Blob);
    fs::write(registry.below(blob).join(".nfs000000000123"), "").unwrap();
    let left = direct::remove(&registry.storage(), blob, None).unwrap();
    let paths: Vec<&Path> = left.iter().map(|left| left.path.as_path()).collect();
    assert_eq!(paths, [&blob.join(".nfs000000000123"), blob]);
    assert!(!registry.below(blob).join("data").exists());
}

#[test]
fn nothing_but_what_lies_below_blobs_and_repositories_is_removed() {
    let registry = Registry::new();
    let before = registry.tree();
    let storage = registry.storage();
    let tag = registry.path(MoveKind::Tag);
    for path in ["", "/", "docker", "docker/registry/v2/blobs", "docker/registry/v2/blobs/../../x"]
    {
        let refused = direct::remove(&storage, path.as_ref(), None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{path}");
    }
    for last in [tag, tag.parent().unwrap()] {
        let refused = direct::remove(&storage, tag, Some(last)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    before.assert_same(&registry.tree(), "after refusals");
    // What is gone is done.
    let gone = Path::new("docker/registry/v2/blobs/sha256/zz");
    assert!(direct::remove(&storage, gone, None).unwrap().is_empty());
}
