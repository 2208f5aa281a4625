//! What plain registries look like that are no product's, and what products leave: which of them are taken for one.

use regsql::sample::demo::demo_registry;
use regsql::sample::generate::{Size, generate};
use regsql::sample::{Content, Descriptor, RegistryBuilder, paths};

use crate::retention::{Registry, days_ago, images};

/// The product that a scan names, with the evidence.
fn suspected(registry: &Registry) -> String {
    let rows = registry.rows("SELECT suspected_authority AS who FROM scan_info");
    let seen = registry.rows("SELECT code, count, of FROM authority_evidence ORDER BY code");
    let seen = seen
        .iter()
        .map(|row| format!(" {} {} of {}", row["code"].as_str().unwrap(), row["count"], row["of"]));
    let who = rows[0]["who"].as_str().unwrap_or("nothing").to_owned();
    seen.fold(who, |who, seen| who + &seen)
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

/// Another registry in the place of the plain one.
fn after(change: impl FnOnce(&mut RegistryBuilder)) -> RegistryBuilder {
    let mut registry = plain();
    change(&mut registry);
    registry
}

fn untag(registry: &mut RegistryBuilder, repository: &str, minors: impl Iterator<Item = u64>) {
    minors.for_each(|minor| registry.untag(repository, &format!("1.{minor}.0")));
}

/// An image without a tag.
fn by_digest(registry: &mut RegistryBuilder, repository: &str, days: u64) -> Descriptor {
    registry.at(days_ago(days));
    let layer = registry.layer(&format!("{repository} {days} days"), 700);
    registry.image(repository).layers([&layer]).label("days", &days.to_string()).push()
}

/// How plain registries come to look, each with what is said of it.
#[expect(clippy::too_many_lines, reason = "a table")]
fn plain_registries() -> Vec<(&'static str, RegistryBuilder, &'static str)> {
    vec![
        ("ten versions of two images", plain(), "nothing"),
        ("the demo", demo_registry(days_ago(0)), "nothing"),
        (
            "a tag that was moved at every push",
            after(|registry| {
                for day in 0..20 {
                    registry.at(days_ago(40 - day));
                    let layer = registry.layer(&format!("day {day}"), 50);
                    registry.image("team/nightly").layers([&layer]).push_tag("latest");
                }
            }),
            "nothing",
        ),
        (
            "builds that push each platform by digest, and then an index with the tag",
            after(|registry| {
                for number in 0..6 {
                    registry.at(days_ago(50 - number));
                    let children = ["amd64", "arm64"].map(|platform| {
                        let layer = registry.layer(&format!("{number} {platform}"), 100);
                        registry.image("team/multi").platform(platform).layers([&layer]).push()
                    });
                    let index = registry.index("team/multi");
                    index.children(&children).push_tag(&format!("2.{number}.0"));
                }
            }),
            "nothing",
        ),
        (
            "builds that push an index of each platform and its attestation by digest, and then all of it with the tag",
            after(|registry| {
                for number in 0..12 {
                    registry.at(days_ago(50 - number));
                    let mut all = Vec::new();
                    for platform in ["amd64", "arm64"] {
                        let layer = registry.layer(&format!("{number} {platform}"), 100);
                        let statement = registry.layer(&format!("{number} {platform} sources"), 9);
                        let image = registry.image("team/multi").platform(platform);
                        let image = image.layers([&layer]).push();
                        let attestation = registry.image("team/multi").platform("unknown");
                        let children = [image, attestation.layers([&statement]).push()];
                        registry.index("team/multi").children(&children).push();
                        all.extend(children);
                    }
                    let index = registry.index("team/multi");
                    index.children(&all).push_tag(&format!("2.{number}.0"));
                }
            }),
            "nothing",
        ),
        (
            "a person who pushed two images by digest",
            after(|registry| {
                by_digest(registry, "team/app", 20);
                by_digest(registry, "team/app", 3);
            }),
            "nothing",
        ),
        (
            "all tags of one repository deleted, while others get tags",
            after(|registry| {
                untag(registry, "team/app", 0..10);
                let directory = format!("{}/_manifests/tags", paths::repository("team/app"));
                registry.put(directory, Content::Directory);
                registry.at(days_ago(1));
                let layer = registry.layer("later", 50);
                registry.image("team/web").layers([&layer]).push_tag("2.0.0");
            }),
            "nothing",
        ),
        (
            "a retention that deletes tags alone and keeps the newest five",
            after(|registry| {
                untag(registry, "team/app", 0..5);
                untag(registry, "team/web", 0..5);
            }),
            "nothing",
        ),
        (
            "the same that keeps two",
            after(|registry| {
                untag(registry, "team/app", 0..8);
                untag(registry, "team/web", 0..8);
            }),
            "nothing",
        ),
        (
            "the same, in one repository of two",
            after(|registry| untag(registry, "team/app", 0..5)),
            "nothing",
        ),
        (
            "pushes that failed at the manifest, or a collector that was killed half-way through every second image",
            after(|registry| {
                for number in 0..5 {
                    let config = format!(r#"{{"rootfs":{{}},"number":{number}}}"#);
                    let config = registry.blob(config);
                    registry.link_layer("team/app", &config.digest);
                }
            }),
            "nothing",
        ),
        (
            "a retention that deletes tags alone and keeps releases among them",
            after(|registry| untag(registry, "team/app", [1, 2, 4, 5, 7].into_iter())),
            "unknown never-tagged 5 of 20",
        ),
        (
            "a retention that deletes tags alone and keeps one image",
            after(|registry| untag(registry, "team/app", 0..9)),
            "unknown never-tagged 9 of 20",
        ),
    ]
}

/// What products leave that keep tags or manifests elsewhere.
fn products() -> Vec<(&'static str, RegistryBuilder, &'static str)> {
    vec![
        (
            "a Harbor that was upgraded: what is new has no tag",
            after(|registry| {
                for days in 1..5 {
                    by_digest(registry, "team/app", days);
                }
            }),
            "unknown never-tagged 4 of 24",
        ),
        (
            "the same, and another repository that got no tag since",
            after(|registry| {
                for days in 1..4 {
                    by_digest(registry, "team/app", days);
                    by_digest(registry, "team/web", days);
                }
            }),
            "unknown never-tagged 6 of 26",
        ),
        (
            "a Harbor that copies images, which then have tags in its database alone",
            after(|registry| {
                for number in 0..4 {
                    by_digest(registry, "team/app", 99 - 2 * number);
                }
            }),
            "unknown never-tagged 4 of 24",
        ),
        (
            "a Harbor that copied images before the first push, and one push since",
            after(|registry| {
                for days in 10..14 {
                    by_digest(registry, "team/copied", days);
                }
                registry.at(days_ago(5));
                let layer = registry.layer("pushed", 50);
                registry.image("team/copied").layers([&layer]).push_tag("1");
            }),
            "unknown never-tagged 4 of 25",
        ),
        (
            "the newest ten without a tag, however many old ones have one",
            after(|registry| {
                for number in 0..100 {
                    registry.at(days_ago(80));
                    let layer = registry.layer(&format!("old {number}"), 50);
                    registry.image("team/old").layers([&layer]).push_tag(&format!("{number}"));
                }
                for number in 0..10 {
                    by_digest(registry, "team/new", 10 - number);
                }
            }),
            "unknown never-tagged 10 of 130 repositories-without-tags-directory 1 of 4",
        ),
        (
            "no tag anywhere",
            {
                let mut registry = RegistryBuilder::new();
                by_digest(&mut registry, "project/app", 3);
                registry
            },
            "unknown no-tags 1 of 1",
        ),
        (
            "configs whose manifests are in a database",
            after(|registry| {
                for number in 0..4 {
                    registry.blob(format!(r#"{{"rootfs":{{}},"number":{number}}}"#));
                }
            }),
            "unknown orphan-configs 4 of 24",
        ),
    ]
}

/// Each line is a registry, and what a scan says of it.
fn table(of: &[(&str, RegistryBuilder, &str)]) -> (String, String) {
    let found = of.iter().map(|(name, builder, _)| {
        let registry = Registry::of(builder);
        format!("{name}: {}\n", suspected(&registry))
    });
    let expected = of.iter().map(|(name, _, expected)| format!("{name}: {expected}\n"));
    (found.collect(), expected.collect())
}

#[test]
fn plain_registries_are_not_taken_for_a_product_unless_tags_alone_were_deleted_out_of_order() {
    let (found, expected) = table(&plain_registries());
    assert_eq!(found, expected);
}

#[test]
fn what_products_leave_is_taken_for_theirs() {
    let (found, expected) = table(&products());
    assert_eq!(found, expected);
}

/// Whether a scan of what `write` leaves in a directory takes it for a product.
fn is_taken(write: impl FnOnce(&std::path::Path)) -> bool {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("registry"));
    let output = crate::env::regsql_in(directory.path(), &["scan", "registry"]).output().unwrap();
    assert!(output.status.success(), "{}", crate::env::shown(&output));
    let database = rusqlite::Connection::open(directory.path().join("registry.db")).unwrap();
    let sql = "SELECT suspected_authority IS NOT NULL FROM scan_info";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// What is measured of the registries that these tests make: docs/roots.md has the table.
#[test]
fn false_alarms_and_misses_are_those_that_the_docs_say() {
    // Other tests hold each kind to what is said of it.
    let of_kinds = |of: &[(&str, RegistryBuilder, &str)]| {
        (of.len(), of.iter().filter(|(.., said)| !said.starts_with("nothing")).count())
    };
    let of_all = |all: Vec<bool>| (all.len(), all.iter().filter(|is_taken| **is_taken).count());
    let builder = |registry: &RegistryBuilder| is_taken(|root| registry.write_to(root).unwrap());
    let generated = (1..=12).map(|seed| {
        let size = Size { seed, ..Size::preset("tiny").unwrap() };
        is_taken(|root| assert!(generate(root, &size).unwrap().tags > 0))
    });
    let measured = [
        ("plain registries, one of each kind above", of_kinds(&plain_registries())),
        ("the demo", of_all(vec![builder(&demo_registry(days_ago(0)))])),
        ("the benchmarks' generator, twelve seeds", of_all(generated.collect())),
        ("products, one of each kind above", of_kinds(&products())),
    ];
    let docs = include_str!("../../../docs/roots.md");
    let rows = measured.map(|(name, (count, taken))| format!("| {name} | {count} | {taken} |\n"));
    for row in &rows {
        assert!(docs.contains(row), "docs/roots.md:\n{}", rows.concat());
    }
}

#[test]
fn a_registry_that_is_taken_for_a_product_is_pruned_on_a_persons_word() {
    let registry = Registry::of(&after(|registry| untag(registry, "team/app", 0..9)));
    let prune = ["prune", "untagged-revisions", "--min-age=0s", "--max-delete-percent=100"];
    assert_eq!(registry.run(&prune).status.code(), Some(2));
    assert_eq!(registry.run(&[&prune[..], &["--trust-storage"]].concat()).status.code(), Some(0));
}
