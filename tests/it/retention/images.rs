//! Rules count images, and a tag only goes with its image.

use super::{Registry, days_ago, images};
use regsql::sample::RegistryBuilder;

fn registry(tags: &[&[&str]]) -> Registry {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", tags);
    Registry::of(&builder)
}

fn kept(registry: &Registry) -> Vec<String> {
    registry.tags().into_iter().map(|tag| tag.trim_start_matches("app:").to_owned()).collect()
}

#[test]
fn floating_tags_of_the_newest_image_stay() {
    let registry = registry(&[
        &["1.0.0", "1.0"],
        &["1.1.0", "1.1"],
        &["1.2.0", "1.2"],
        &["1.3.0", "1.3"],
        &["1.4.0", "1.4", "1", "latest"],
    ]);
    registry.prune(&["keep-latest", "-p", "keep=3", "untagged-revisions"]);
    assert_eq!(kept(&registry), ["1", "1.2", "1.2.0", "1.3", "1.3.0", "1.4", "1.4.0", "latest"]);
}

#[test]
fn build_number_ten_is_newer_than_nine_in_any_order() {
    let tags: Vec<Vec<String>> = (1..=11).map(|n| vec![format!("build-{n}")]).collect();
    let tags: Vec<Vec<&str>> =
        tags.iter().map(|tags| tags.iter().map(String::as_str).collect()).collect();
    let tags: Vec<&[&str]> = tags.iter().map(Vec::as_slice).collect();
    let registry = registry(&tags);
    for order in ["order=version", "order=pushed"] {
        let gone = registry.selected(&["keep-latest", "-p", "keep=2", "-p", order]);
        assert_eq!(gone.len(), 9, "{order}: {gone:?}");
        assert!(
            !gone.contains(&"build-10".into()) && !gone.contains(&"build-11".into()),
            "{gone:?}"
        );
    }
}

#[test]
fn a_commit_tag_goes_with_its_version_and_a_name_keeps_its_image() {
    let registry = registry(&[
        &["1.0.0", "7f3a9c2"],
        &["1.1.0", "sha-7f3a9c3"],
        &["1.2.0", "prod"],
        &["1.3.0", "7f3a9c4"],
        &["1.4.0", "latest"],
        &["main"],
        &["a1b2c3d"],
    ]);
    registry.prune(&["keep-latest", "-p", "keep=1"]);
    assert_eq!(kept(&registry), ["1.2.0", "1.4.0", "a1b2c3d", "latest", "main", "prod"]);
}

#[test]
fn an_image_with_a_tag_that_does_not_match_stays_whole() {
    let registry = registry(&[&["pr-1"], &["pr-2", "main"], &["pr-3"], &["pr-4"]]);
    registry.prune(&["keep-latest", "-p", "keep=1", "-p", "match=pr-*"]);
    assert_eq!(kept(&registry), ["main", "pr-2", "pr-4"]);
}

#[test]
fn signatures_are_not_counted_as_images() {
    let mut builder = RegistryBuilder::new();
    for number in 0..6 {
        builder.at(days_ago(60 - number));
        let layer = builder.layer(&format!("layer{number}"), 1_000);
        let image = builder.image("app").layers([&layer]).push_tag(&format!("build-{number}"));
        builder.cosign_signature("app", &image);
        for suffix in ["att", "sbom"] {
            let tag = format!("sha256-{}.{suffix}", image.digest.encoded());
            let layer = builder.layer(&tag, 10);
            builder.image("app").layers([&layer]).push_tag(&tag);
        }
    }
    let registry = Registry::of(&builder);
    for rule in [
        &["keep-latest", "-p", "keep=3", "-p", "order=pushed"][..],
        &["keep-latest", "-p", "keep=3"],
        &["older-than", "-p", "days=58", "-p", "keep=0"],
    ] {
        assert_eq!(
            registry.selected(rule).iter().map(|tag| &tag[..6]).collect::<Vec<_>>(),
            ["build-"; 3],
            "{rule:?}"
        );
    }
}

#[test]
fn what_signed_an_image_that_is_gone_is_listed_and_selected() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(9));
    let layer = builder.layer("layer", 1_000);
    let image = builder.image("app").layers([&layer]).push_tag("1.0.0");
    builder.cosign_signature("app", &image);
    let gone = format!("sha256-{}.sig", "0b".repeat(32));
    let other = builder.layer("other", 1_000);
    builder.image("app").layers([&other]).push_tag(&gone);
    let registry = Registry::of(&builder);

    assert_eq!(registry.selected(&["orphan-referrers"]), std::slice::from_ref(&gone));
    registry.prune(&["orphan-referrers"]);
    let left = kept(&registry);
    assert!(left.contains(&"1.0.0".into()) && !left.contains(&gone) && left.len() == 2, "{left:?}");
}

#[test]
fn a_copy_is_ranked_by_creation_time_and_says_so() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(30));
    // The newest has the name that sorts first.
    for (name, day) in [("d", 1), ("c", 2), ("b", 3), ("a", 4)] {
        let layer = builder.layer(name, 1_000);
        let created = format!("2025-06-0{day}T00:00:00Z");
        builder.image("app").layers([&layer]).created(&created).push_tag(name);
    }
    let registry = Registry::of(&builder);
    let rule = ["keep-latest", "-p", "keep=2", "-p", "order=pushed"];
    assert_eq!(registry.selected(&rule), ["c", "d"]);
    let notice = "app: most push times are equal; its images are ranked by creation time";
    for command in [&["report"][..], &["prune"], &["report", "--what-if"]] {
        let error = registry.stderr(&[command, &rule].concat());
        assert!(error.contains(notice), "{command:?}: {error}");
    }
}

#[test]
fn a_copy_of_reproducible_builds_is_left_alone() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(30));
    for name in ["d", "c", "b", "a"] {
        let layer = builder.layer(name, 1_000);
        builder.image("app").layers([&layer]).created("1970-01-01T00:00:00Z").push_tag(name);
    }
    let registry = Registry::of(&builder);
    for order in ["order=pushed", "order=created"] {
        let rule = ["keep-latest", "-p", "keep=1", "-p", order];
        assert_eq!(registry.selected(&rule), [""; 0]);
        let error = registry.stderr(&[&["report"][..], &rule].concat());
        assert!(error.contains("are equal; nothing of it is named"), "{error}");
    }
}

#[test]
fn a_multi_platform_image_counts_once_and_goes_with_its_platforms() {
    let mut builder = RegistryBuilder::new();
    for number in 0..4 {
        builder.at(days_ago(50 - number));
        let children = ["amd64", "arm64"].map(|platform| {
            let layer = builder.layer(&format!("{platform}{number}"), 1_000);
            builder
                .image("app")
                .layers([&layer])
                .platform(&format!("linux/{platform}"))
                .created(&format!("2025-06-0{}T00:00:00Z", number + 1))
                .push_tag(&format!("1.{number}.0-{platform}"))
        });
        builder.index("app").children(&children).push_tag(&format!("1.{number}.0"));
    }
    let registry = Registry::of(&builder);
    for order in ["order=version", "order=created", "order=pushed"] {
        let gone = registry.selected(&["keep-latest", "-p", "keep=2", "-p", order]);
        assert_eq!(
            gone,
            ["1.1.0", "1.1.0-amd64", "1.1.0-arm64", "1.0.0", "1.0.0-amd64", "1.0.0-arm64"],
            "{order}"
        );
    }
    let created = registry.rows("SELECT created_at FROM tags WHERE tag = '1.3.0'");
    assert_eq!(created[0]["created_at"], "2025-06-04T00:00:00Z");
}

#[test]
fn an_image_is_as_old_as_its_newest_tag() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(200));
    let layer = builder.layer("old", 1_000);
    let old = builder.image("app").layers([&layer]).push_tag("1.0.0");
    let layer = builder.layer("older", 1_000);
    builder.image("app").layers([&layer]).push_tag("0.9.0");
    builder.at(days_ago(2));
    builder.tag("app", "stable", &old.digest);
    let registry = Registry::of(&builder);
    assert_eq!(registry.selected(&["older-than", "-p", "days=90"]), ["0.9.0"]);
    assert_eq!(registry.selected(&["older-than", "-p", "days=90", "-p", "keep=2"]), [""; 0]);
    // `free` drops whole images, too.
    let text = registry.stdout(&[
        "-q",
        "free",
        "1KB",
        "--from",
        "older-than",
        "-p",
        "days=1",
        "-f",
        "json",
    ]);
    assert!(text.contains("0.9.0") && !text.contains("stable"), "{text}");
}
