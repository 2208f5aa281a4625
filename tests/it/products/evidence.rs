//! What plain registries look like that are no product's: how many of them are taken for one.

use regsql::sample::RegistryBuilder;

use crate::retention::{Registry, days_ago, images};

fn suspected(registry: &Registry) -> Option<String> {
    let rows = registry.rows("SELECT suspected_authority AS who FROM scan_info");
    rows[0]["who"].as_str().map(str::to_owned)
}

/// Ten versions each of two repositories.
fn plain() -> RegistryBuilder {
    let mut builder = RegistryBuilder::new();
    let tags: Vec<String> = (0..10).map(|minor| format!("1.{minor}.0")).collect();
    let tags: Vec<[&str; 1]> = tags.iter().map(|tag| [tag.as_str()]).collect();
    let tags: Vec<&[&str]> = tags.iter().map(|tag| &tag[..]).collect();
    images(&mut builder, "team/app", &tags);
    images(&mut builder, "team/web", &tags);
    builder
}

#[test]
fn plain_registries_are_not_taken_for_a_product_unless_their_tags_alone_were_deleted() {
    assert_eq!(suspected(&Registry::of(&plain())), None);
    // Builds push each platform by digest, and then the index that has the tag.
    let mut by_digest = plain();
    for number in 0..6 {
        by_digest.at(days_ago(50 - number));
        let children = ["amd64", "arm64"].map(|platform| {
            let layer = by_digest.layer(&format!("{number} {platform}"), 100);
            by_digest.image("team/multi").platform(platform).layers([&layer]).push()
        });
        by_digest.index("team/multi").children(&children).push_tag(&format!("2.{number}.0"));
    }
    assert_eq!(suspected(&Registry::of(&by_digest)), None);
    // A retention that deletes tags and their entries leaves what a product leaves that keeps its tags
    // elsewhere: this is refused, and --trust-storage says that it is garbage.
    let mut tags_deleted = plain();
    for minor in 0..5 {
        tags_deleted.untag("team/app", &format!("1.{minor}.0"));
    }
    let registry = Registry::of(&tags_deleted);
    assert_eq!(suspected(&registry).as_deref(), Some("unknown"));
    let prune = ["prune", "untagged-revisions", "--min-age=0s", "--max-delete-percent=100"];
    assert_eq!(registry.run(&prune).status.code(), Some(2));
    assert_eq!(registry.run(&[&prune[..], &["--trust-storage"]].concat()).status.code(), Some(0));
}
