//! Mending: corrupt blobs that a push heals once they are gone, and what interrupted writes left.

use std::fs::{self, File};
use std::process::Output;
use std::time::{Duration, SystemTime};

use regsql::model::Digest;
use regsql::sample::{RegistryBuilder, paths};

use super::Disk;

const DELETE: [&str; 6] =
    ["--min-age", "0s", "--delete", "--offline", "--yes", "--max-delete-percent=100"];

/// Two images that share a layer.
fn two_images() -> (Disk, Digest) {
    let mut registry = RegistryBuilder::new();
    let shared = registry.layer("shared by both", 3_000);
    for (repository, own) in [("shop/web", "web"), ("shop/api", "api")] {
        let own = registry.layer(own, 500);
        registry.image(repository).layers([&shared, &own]).push_tag("1.0");
    }
    (Disk::of(&registry), shared.digest)
}

fn prune(disk: &Disk, arguments: &[&str]) -> (i32, String) {
    let output: Output = disk.command(&[&["prune"], arguments].concat()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn verify(disk: &Disk) -> String {
    let output = disk
        .command(&["verify", "--max-scan-age", "0s", "--content", "--format", "json"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_corrupt_blob_goes_to_the_trash_so_that_a_push_heals_every_image_with_it() {
    let (disk, digest) = two_images();
    let data = disk.below(paths::blob_directory(&digest)).join("data");
    let right = fs::read(&data).unwrap();
    let mut wrong = right.clone();
    wrong[1_000] ^= 1;
    fs::write(&data, &wrong).unwrap();
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    assert!(verify(&disk).contains("blob-content-mismatch"));

    let (code, text) = prune(&disk, &["--corrupt", "--min-age", "0s", "--max-delete-percent=100"]);
    assert!(code == 0 && text.contains("Would delete 1 corrupt blob\n"), "{text}");
    assert!(data.exists());
    let (code, text) = prune(&disk, &[&["--corrupt"], &DELETE[..]].concat());
    assert!(code == 0 && text.contains("Deleted 1 corrupt blob\n"), "{text}");
    assert!(!data.exists(), "the registry takes a new one only where there is none");
    assert!(verify(&disk).contains("layer-missing"));

    // What a push does.
    fs::create_dir(data.parent().unwrap()).unwrap();
    fs::write(&data, &right).unwrap();
    let found = verify(&disk);
    assert!(!found.contains("mismatch") && !found.contains("layer-missing"), "{found}");
    let (code, text) = regsql(&disk, &["undo", "--storage", "registry"]);
    assert!(code == 0 && text.contains("put back nothing"), "{text}");
    assert!(text.contains("1 were in their place") && !text.contains("warning"), "{text}");
    assert_eq!(fs::read(&data).unwrap(), right);
    assert_eq!(disk.runs(), [""; 0]);
}

/// Two images that share a layer, which was cut, and was moved to the trash for that.
fn mended() -> (Disk, Digest) {
    let (disk, digest) = two_images();
    let data = disk.below(paths::blob_directory(&digest)).join("data");
    fs::write(&data, "cut").unwrap();
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    let (code, text) = prune(&disk, &[&["--corrupt"], &DELETE[..]].concat());
    assert!(code == 0 && text.contains("Deleted 1 corrupt blob\n"), "{text}");
    (disk, digest)
}

fn regsql(disk: &Disk, arguments: &[&str]) -> (i32, String) {
    let output = disk.command(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_corrupt_blob_in_the_trash_is_freed_by_a_purge_although_images_name_it() {
    let (disk, digest) = mended();
    let (code, text) = regsql(&disk, &["trash", "purge", "--yes"]);
    assert!(code == 0 && text.contains("removed 1 blob (3 B)"), "{text}");
    assert_eq!(disk.runs(), [""; 0]);
    assert!(!disk.below(paths::blob_directory(&digest)).exists());
}

#[test]
fn an_undo_of_another_run_asks_for_no_corrupt_blob() {
    let (disk, _) = mended();
    let (code, text) = prune(&disk, &[&["--target", "shop/web:1.0"], &DELETE[..]].concat());
    assert_eq!(code, 0, "{text}");
    let (code, text) = regsql(&disk, &["undo"]);
    assert!(code == 1 && !text.contains("lies in the trash"), "{text}");
    assert!(text.contains("shop/web:1.0 is back and cannot be pulled: layer is missing"), "{text}");
}

#[test]
fn a_mending_that_was_killed_is_put_back_and_can_be_made_again() {
    let (disk, digest) = mended();
    let run = disk.runs().pop().unwrap();
    fs::remove_file(disk.below(".regsql/trash").join(&run).join("done.json")).unwrap();
    let (code, text) = prune(&disk, &[&["--garbage"], &DELETE[..]].concat());
    assert!(code == 0 && text.contains("end: one thing was put back"), "{text}");
    let data = disk.below(paths::blob_directory(&digest)).join("data");
    assert_eq!(fs::read(&data).unwrap(), b"cut");
    let (code, text) = prune(&disk, &[&["--corrupt"], &DELETE[..]].concat());
    assert!(code == 0 && !data.exists(), "{text}");
}

#[test]
fn a_protected_corrupt_blob_stays() {
    let (disk, digest) = two_images();
    let data = disk.below(paths::blob_directory(&digest)).join("data");
    fs::write(&data, "cut").unwrap();
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    let list = disk.below("../list");
    fs::write(&list, digest.to_string()).unwrap();
    let protect = ["--corrupt", "--protect", list.to_str().unwrap()];
    let (code, text) = prune(&disk, &[&protect, &DELETE[..]].concat());
    assert!(code == 0 && text.contains("it is protected"), "{text}");
    assert!(text.contains("1 of 1 protected references name something here"), "{text}");
    assert!(data.exists());
}

#[test]
fn a_blob_of_another_size_than_a_manifest_says_stays_when_its_content_is_right() {
    let mut registry = RegistryBuilder::new();
    let mut layer = registry.layer("a layer", 900);
    layer.size += 1;
    registry.image("shop/web").layers([&layer]).push_tag("1.0");
    let disk = Disk::of(&registry);
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    let (code, text) = prune(&disk, &[&["--corrupt"], &DELETE[..]].concat());
    assert!(code == 1 && text.contains("its content is what its digest says"), "{text}");
    assert!(disk.below(paths::blob_directory(&layer.digest)).join("data").exists());
}

#[test]
fn what_interrupted_writes_left_goes_once_it_is_old_and_undo_brings_it_back() {
    let (disk, digest) = two_images();
    let blob = disk.below(paths::blob_directory(&digest));
    let old = SystemTime::now() - Duration::from_hours(72);
    let left = |name: &str, time: SystemTime| {
        let path = blob.join(name);
        fs::write(&path, "half a layer").unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let old_file = left("data.0af3c7a6-4e1b-44ad-8a0b-6c7a4a4c3a55.tmp", old);
    let young_file = left("data.1bf3c7a6-4e1b-44ad-8a0b-6c7a4a4c3a55.tmp", SystemTime::now());
    let hex = "ab".repeat(32);
    let empty = disk.below(format!("docker/registry/v2/blobs/sha256/ab/{hex}"));
    fs::create_dir_all(&empty).unwrap();
    File::open(&empty).unwrap().set_modified(old).unwrap();
    let before = disk.tree();
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());

    let (code, text) = prune(&disk, &["--leftovers", "--delete", "--offline", "--yes"]);
    assert!(code == 0 && text.contains("Deleted 2 leftovers\n"), "{text}");
    assert!(text.contains("Stays: 1 too young to go yet"), "{text}");
    assert!(!old_file.exists() && young_file.exists() && !empty.exists());
    assert!(blob.join("data").exists());
    disk.undo_all("after mending");
    before.assert_same(&disk.tree(), "after undo");
}
