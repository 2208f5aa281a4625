//! For any registry and any number to keep.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use regsql::sample::RegistryBuilder;

use super::{Registry, days_ago};

/// Names of all kinds, so that images collide on some of them.
const NAMES: &[&str] = &[
    "1",
    "1.4",
    "1.4.2",
    "v1.5.0",
    "2.0.0-rc1",
    "2",
    "2024-01-05",
    "20240106",
    "build-9",
    "build-10",
    "latest",
    "prod",
    "main",
    "7f3a9c2",
    "sha-7f3a9c3",
    "8601903",
    "pr-7",
    "1.4-alpine",
];

#[derive(Clone, Debug)]
struct Case {
    /// Of each image: names, pushed so many days ago, created in this month.
    images: Vec<(Vec<usize>, u64, u8)>,
    is_signed: bool,
    keep: usize,
    order: usize,
    pattern: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let image = (proptest::collection::vec(0..NAMES.len(), 1..4), 2_u64..9, 1_u8..4);
    let images = proptest::collection::vec(image, 1..7);
    (images, any::<bool>(), 0_usize..5, 0_usize..3, 0_usize..3).prop_map(
        |(images, is_signed, keep, order, pattern)| Case {
            images,
            is_signed,
            keep,
            order,
            pattern,
        },
    )
}

fn registry(case: &Case) -> Registry {
    let mut builder = RegistryBuilder::new();
    for (number, (names, days, month)) in case.images.iter().enumerate() {
        builder.at(days_ago(*days));
        let layer = builder.layer(&number.to_string(), 500);
        let image = builder
            .image("app")
            .layers([&layer])
            .created(&format!("2025-0{month}-01T00:00:00Z"))
            .label("number", &number.to_string())
            .push_tags(names.iter().map(|name| NAMES[*name]));
        if case.is_signed {
            builder.cosign_signature("app", &image);
        }
    }
    Registry::of(&builder)
}

/// Tags of each image, without signatures.
fn tags_of_images(registry: &Registry) -> BTreeMap<String, BTreeSet<String>> {
    let mut images: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in registry.rows("SELECT manifest_digest, tag FROM tags WHERE class <> 'referrer'") {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        images.entry(text("manifest_digest")).or_default().insert(text("tag"));
    }
    images
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn enough_images_stay_whole_and_no_image_loses_a_part_of_its_tags(case in cases()) {
        let registry = registry(&case);
        let before = tags_of_images(&registry);
        let keep = format!("keep={}", case.keep);
        let order = format!("order={}", ["version", "pushed", "created"][case.order]);
        let pattern = format!("match={}", ["*", "1*", "[0-9]*"][case.pattern]);
        registry.prune(&["keep-latest", "-p", &keep, "-p", &order, "-p", &pattern]);
        let after = tags_of_images(&registry);
        prop_assert!(after.len() >= case.keep.min(before.len()), "{before:?} {after:?}");
        for (digest, tags) in &after {
            prop_assert_eq!(tags, &before[digest]);
        }
        let broken = registry.rows("SELECT tag FROM tags WHERE is_broken");
        prop_assert!(broken.is_empty(), "{broken:?}");
    }
}
