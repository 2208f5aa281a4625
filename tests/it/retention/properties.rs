//! For any registry and any number to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

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

/// Every rule that takes `keep`.
const RULES: &[&[&str]] = &[
    &["keep-latest", "-p", "order=version"],
    &["keep-latest", "-p", "order=pushed"],
    &["keep-latest", "-p", "order=created"],
    &["keep-latest", "-p", "order=pulled"],
    &["older-than", "-p", "days=3"],
    &["not-pulled", "-p", "days=2"],
];

/// Names, pushed and pulled days ago, created in this month, of several platforms.
type ImageCase = (Vec<usize>, u64, u8, bool, Option<u64>);

#[derive(Clone, Debug)]
struct Case {
    images: Vec<ImageCase>,
    is_signed: bool,
    keep: usize,
    rule: usize,
    pattern: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let names = proptest::collection::vec(0..NAMES.len(), 1..4);
    let image = (names, 2_u64..9, 1_u8..4, any::<bool>(), proptest::option::of(0_u64..9));
    let images = proptest::collection::vec(image, 1..7);
    (images, any::<bool>(), 0_usize..5, 0_usize..RULES.len(), 0_usize..3).prop_map(
        |(images, is_signed, keep, rule, pattern)| Case { images, is_signed, keep, rule, pattern },
    )
}

fn registry(case: &Case) -> Registry {
    let mut builder = RegistryBuilder::new();
    let mut pulls = String::from("repository,digest,pulled_at\n");
    for (number, (names, days, month, is_index, pulled)) in case.images.iter().enumerate() {
        builder.at(days_ago(*days));
        let layer = builder.layer(&number.to_string(), 500);
        let names = names.iter().map(|name| NAMES[*name]);
        let (created, label) = (format!("2025-0{month}-01T00:00:00Z"), number.to_string());
        let platforms = if *is_index { &["amd64", "arm64"][..] } else { &["amd64"] };
        let children: Vec<_> = platforms
            .iter()
            .map(|platform| {
                let image = builder.image("app").layers([&layer]).platform(platform);
                let image = image.created(&created).label("number", &label);
                if *is_index { image.push() } else { image.push_tags(names.clone()) }
            })
            .collect();
        let image = if *is_index {
            builder.index("app").children(&children).push_tags(names)
        } else {
            children[0].clone()
        };
        if let Some(pulled) = pulled {
            let at = jiff::Timestamp::try_from(days_ago(*pulled)).unwrap();
            writeln!(pulls, "app,{},{}", image.digest, at.strftime("%FT%TZ")).unwrap();
        }
        if case.is_signed {
            builder.cosign_signature("app", &image);
        }
    }
    let registry = Registry::of(&builder);
    std::fs::write(registry.path("pulls.csv"), pulls).unwrap();
    // Without a pull there is nothing to take in.
    drop(registry.run(&["pulls", "import", "pulls.csv"]));
    registry
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
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn enough_images_stay_whole_and_no_image_loses_a_part_of_its_tags(case in cases()) {
        let registry = registry(&case);
        let before = tags_of_images(&registry);
        let keep = format!("keep={}", case.keep);
        let pattern = format!("match={}", ["*", "1*", "[0-9]*"][case.pattern]);
        let rule = RULES[case.rule];
        registry.prune(&[rule, &["-p", &keep, "-p", &pattern]].concat());
        let after = tags_of_images(&registry);
        prop_assert!(after.len() >= case.keep.min(before.len()), "{before:?} {after:?}");
        for (digest, tags) in &after {
            prop_assert_eq!(tags, &before[digest]);
        }
        let broken = registry.rows("SELECT tag FROM tags WHERE is_broken");
        prop_assert!(broken.is_empty(), "{broken:?}");
    }
}
