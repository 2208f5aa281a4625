//! What lists of images in use keep.

use std::fs;

use regsql::model::Digest;
use regsql::sample::{Descriptor, RegistryBuilder, paths};
use serde_json::Value;

use super::Disk;

/// The digest of an image's config, as `docker inspect` calls the image.
fn config_digest(disk: &Disk, image: &Descriptor) -> Digest {
    let body = fs::read(disk.below(paths::blob(&image.digest))).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    Digest::parse(body["config"]["digest"].as_str().unwrap()).unwrap()
}

fn image(
    registry: &mut RegistryBuilder,
    repository: &str,
    name: &str,
    tags: &[&str],
) -> Descriptor {
    let layer = registry.layer(name, 900);
    registry.image(repository).layers([&layer]).label("name", name).push_tags(tags.iter().copied())
}

/// Deletes all tags and untagged revisions but what the list keeps; the report, and what is left.
fn delete_all_but(disk: &Disk, list: &str) -> (String, Vec<String>) {
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    fs::write(disk.below("../list"), list).unwrap();
    let sql = "SELECT repository, tag, NULL AS manifest_digest FROM tags UNION ALL
               SELECT repository, NULL, manifest_digest FROM revisions";
    let guards = ["--protect", "list", "--min-age", "0s", "--max-delete-percent=100"];
    let acts = ["--garbage", "--delete", "--offline", "--yes"];
    let output =
        disk.command(&[&["prune", "--sql", sql], &guards[..], &acts].concat()).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let names = super::pulls::pulls(&disk.root());
    let names = names
        .keys()
        .map(|(repository, tag)| format!("{}:{}", repository.display(), tag.to_str().unwrap()));
    (text, names.collect())
}

#[test]
fn an_image_in_use_by_its_config_digest_stays_with_its_tags_in_every_repository() {
    let mut registry = RegistryBuilder::new();
    let used = image(&mut registry, "shop/web", "used", &["1.0", "stable"]);
    image(&mut registry, "shop/copy", "used", &["1.0"]);
    image(&mut registry, "shop/web", "other", &["2.0"]);
    let by_hex = image(&mut registry, "shop/cron", "by hex", &["1"]);
    let disk = Disk::of(&registry);
    let config = config_digest(&disk, &used);
    let hex = config_digest(&disk, &by_hex).encoded().clone();
    let list = format!("docker://{config}\n{hex}\nnobody/knows:this\n");
    let (text, names) = delete_all_but(&disk, &list);
    assert_eq!(
        names,
        ["shop/copy:1.0", "shop/cron:1", "shop/web:1.0", "shop/web:stable"],
        "{text}"
    );
    assert!(text.contains("2 of 3 protected references name something here"), "{text}");
}

#[test]
fn tags_on_a_protected_manifest_stay_and_a_protected_layer_keeps_no_image() {
    let mut registry = RegistryBuilder::new();
    let used = image(&mut registry, "shop/web", "used", &["1.0"]);
    image(&mut registry, "shop/copy", "used", &["again"]);
    let layer = registry.layer("other", 900);
    image(&mut registry, "shop/web", "other", &["2.0"]);
    let disk = Disk::of(&registry);
    let list = format!("shop/web@{}\n{}\n", used.digest, layer.digest);
    let (text, names) = delete_all_but(&disk, &list);
    assert_eq!(names, ["shop/copy:again", "shop/web:1.0"], "{text}");
    assert!(disk.below(paths::blob(&layer.digest)).exists(), "{text}");
}

#[test]
fn a_child_in_use_stays_with_all_it_needs_when_its_index_goes() {
    let mut registry = RegistryBuilder::new();
    let child = image(&mut registry, "shop/web", "amd64", &[]);
    let other = image(&mut registry, "shop/web", "arm64", &[]);
    registry.index("shop/web").children([&child, &other]).push_tag("1.0");
    let layer = registry.layer("amd64", 900);
    let disk = Disk::of(&registry);
    let config = config_digest(&disk, &child);
    let (text, names) = delete_all_but(&disk, &config.to_string());
    assert!(names.iter().all(|name| !name.ends_with(":1.0")), "{text}");
    for digest in [&child.digest, &config, &layer.digest] {
        assert!(disk.below(paths::blob(digest)).exists(), "{text}");
    }
    assert!(disk.below(paths::revision_link("shop/web", &child.digest)).exists(), "{text}");
    assert!(!disk.below(paths::blob(&other.digest)).exists(), "{text}");
}
