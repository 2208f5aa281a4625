//! What lists of images in use keep.

use std::fs;

use regsql::model::Digest;
use regsql::sample::{Descriptor, RegistryBuilder, paths};
use serde_json::Value;

use super::Disk;

/// The digest of an image's config, as `docker inspect` calls the image.
pub fn config_digest(disk: &Disk, image: &Descriptor) -> Digest {
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
fn a_child_in_use_keeps_every_index_that_leads_to_it_with_its_tags() {
    let mut registry = RegistryBuilder::new();
    let child = image(&mut registry, "shop/web", "amd64", &[]);
    let other = image(&mut registry, "shop/web", "arm64", &[]);
    let index = registry.index("shop/web").children([&child, &other]).push_tag("1.0");
    registry.index("shop/web").children([&index]).push_tag("nested");
    registry.index("shop/web").children([&other]).push_tag("arm");
    let disk = Disk::of(&registry);
    let config = config_digest(&disk, &child);
    let before = super::pulls::pulls(&disk.root());
    for list in [config.to_string(), child.digest.to_string()] {
        let (text, names) = delete_all_but(&disk, &list);
        assert_eq!(names, ["shop/web:1.0", "shop/web:nested"], "{text}");
        assert!(text.contains("shop/web:1.0: it is protected"), "{text}");
        assert!(text.contains("Deleted 1 blob, 1 tag, 1 revision\n"), "{text}");
        let after = super::pulls::pulls(&disk.root());
        let is_whole = |(name, image)| before.get(name) == Some(image);
        assert!(after.iter().all(is_whole), "{text}");
        disk.undo_all("looked at");
    }
}

#[test]
fn an_image_stays_by_the_first_digits_of_its_digest_as_docker_prints_them() {
    let mut registry = RegistryBuilder::new();
    let by_manifest = image(&mut registry, "shop/web", "used", &["1.0"]);
    let by_config = image(&mut registry, "shop/api", "other", &["1.0"]);
    image(&mut registry, "shop/web", "old", &["0.9"]);
    let orphan = registry.blob("an orphan blob that somebody names").digest;
    // A repository may have such a name as well.
    image(&mut registry, "123456abcdef", "named so", &["latest", "old"]);
    let disk = Disk::of(&registry);
    let config = config_digest(&disk, &by_config);
    let list = format!(
        "{}\n{}\n{} 123456abcdef\nffffffffffff\n",
        &by_manifest.digest.encoded()[..12],
        &config.encoded()[..20],
        &orphan.encoded()[..12],
    );
    let (text, names) = delete_all_but(&disk, &list);
    assert_eq!(names, ["123456abcdef:latest", "shop/api:1.0", "shop/web:1.0"], "{text}");
    assert!(disk.below(paths::blob(&orphan)).exists(), "{text}");
    assert!(text.contains("4 of 5 protected references name something here"), "{text}");
}

#[test]
fn references_to_what_is_named_but_gone_are_not_counted() {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("gone", 900);
    let used = registry.image("shop/web").layers([&layer]).push_tag("1.0");
    let disk = Disk::of(&registry);
    fs::remove_file(disk.below(paths::blob(&layer.digest))).unwrap();
    fs::remove_dir_all(disk.below(paths::layer_link("shop/web", &layer.digest)).parent().unwrap())
        .unwrap();
    let prefix = &layer.digest.encoded()[..12];
    let list = format!("{}\n{prefix}\n{}\n", layer.digest, used.digest);
    let (text, names) = delete_all_but(&disk, &list);
    assert_eq!(names, ["shop/web:1.0"], "{text}");
    assert!(text.contains("1 of 3 protected references name something here"), "{text}");
}

#[test]
fn patterns_for_tags_may_have_a_host_and_are_told_when_they_match_nothing() {
    let mut registry = RegistryBuilder::new();
    image(&mut registry, "multi", "one", &["v1"]);
    image(&mut registry, "multi", "two", &["w1"]);
    let disk = Disk::of(&registry);
    assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
    let choice = ["prune", "--target", "multi:v1", "--target", "multi:w1", "--min-age", "0s"];
    let patterns =
        ["reg.example.com:5000/multi:v*", "release-*"].map(|text| ["--protect-tags", text]);
    let acts = ["--delete", "--offline", "--yes", "--max-delete-percent=100"];
    let output = disk.regsql(&[&choice[..], patterns.as_flattened(), &acts].concat());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(text.contains("multi:v1: it is protected"), "{text}");
    assert!(text.contains(" 1 tag, 1 revision"), "{text}");
    assert_eq!(text.matches("--protect-tags `release-*` matches no tag").count(), 1, "{text}");
    assert!(!text.contains("reg.example.com:5000/multi:v*` matches"), "{text}");
}

#[test]
fn what_kubectl_prints_as_json_keeps_its_images_and_half_of_it_deletes_nothing() {
    let mut registry = RegistryBuilder::new();
    image(&mut registry, "library/nginx", "used", &["1.25"]);
    image(&mut registry, "shop/web", "by digest", &["1.0"]);
    image(&mut registry, "shop/web", "other", &["2.0"]);
    let disk = Disk::of(&registry);
    let web = image(&mut RegistryBuilder::new(), "shop/web", "by digest", &["1.0"]);
    let pods = format!(
        r#"{{"kind":"List","items":[{{"kind":"Pod","spec":{{"containers":[{{"image":"nginx:1.25"}}]}},
        "status":{{"containerStatuses":[{{"imageID":"reg.example.com/shop/web@{}"}}]}}}}]}}"#,
        web.digest
    );
    let (text, names) = delete_all_but(&disk, &pods[..pods.len() - 20]);
    assert_eq!(names, ["library/nginx:1.25", "shop/web:1.0", "shop/web:2.0"], "{text}");
    assert!(text.contains("is cut short"), "{text}");
    let (text, names) = delete_all_but(&disk, &pods);
    assert_eq!(names, ["library/nginx:1.25", "shop/web:1.0"], "{text}");
}

#[test]
fn a_list_of_another_registry_deletes_nothing() {
    let mut registry = RegistryBuilder::new();
    image(&mut registry, "shop/web", "other", &["2.0"]);
    let disk = Disk::of(&registry);
    for list in ["other/app:1\n", "repository,tag,digest\nother/app,1,\n"] {
        let (text, names) = delete_all_but(&disk, list);
        assert_eq!(names, ["shop/web:2.0"], "{text}");
        assert!(text.contains("nothing of the 1 references in the protect lists"), "{text}");
    }
}

#[test]
fn what_a_command_prints_is_kept_and_nothing_goes_when_it_fails() {
    let mut registry = RegistryBuilder::new();
    image(&mut registry, "shop/web", "used", &["1.0"]);
    image(&mut registry, "shop/web", "other", &["2.0"]);
    let disk = Disk::of(&registry);
    let prune = |command: &str| {
        assert!(disk.command(&["scan", "registry"]).output().unwrap().status.success());
        let sql = "SELECT repository, tag FROM tags";
        let guards = ["--protect-command", command, "--min-age", "0s", "--max-delete-percent=100"];
        let acts = ["--delete", "--offline", "--yes"];
        let arguments = [&["prune", "--sql", sql], &guards[..], &acts].concat();
        disk.command(&arguments).output().unwrap().status.code()
    };
    assert_eq!(prune("echo shop/web:1.0; exit 3"), Some(2));
    assert_eq!(super::pulls::pulls(&disk.root()).len(), 2);
    assert_eq!(prune("echo shop/web:1.0"), Some(0));
    assert_eq!(super::pulls::pulls(&disk.root()).len(), 1);
}
