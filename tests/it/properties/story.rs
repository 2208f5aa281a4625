//! Random histories of a small registry.

use proptest::prelude::*;
use regsql::sample::{Descriptor, RegistryBuilder, paths};

const REPOSITORIES: [&str; 3] = ["a", "a/b", "c"];
const TAGS: [&str; 4] = ["1.0", "1.1", "latest", "sha256-x"];

/// One request to the registry, or one mishap. Numbers choose among what is there when it comes.
#[derive(Clone, Debug)]
pub enum Event {
    /// An image of layers from a small pool, so that many are shared.
    Image { repository: usize, layers: Vec<usize>, label: usize, tag: Option<usize> },
    /// An index of manifests from any repository; those of others are not linked in this one.
    Index { repository: usize, children: Vec<prop::sample::Index>, tag: Option<usize> },
    /// An artifact about a manifest from any repository.
    Referrer { repository: usize, subject: prop::sample::Index, label: usize, tag: Option<usize> },
    /// A build cache of layers from the pool.
    Cache { repository: usize, layers: Vec<usize>, tag: usize },
    /// An image whose layer is named by its sha512.
    Alias { repository: usize, layer: usize, tag: usize },
    /// A manifest linked in another repository, without its layers' links.
    Copy { repository: usize, manifest: prop::sample::Index },
    /// A tag points elsewhere.
    Tag { repository: usize, manifest: prop::sample::Index, tag: usize },
    /// A tag is deleted.
    Untag { repository: usize, tag: usize },
    /// A revision link is gone and its tags are not.
    Unlink { repository: usize, manifest: prop::sample::Index },
    /// An upload without a manifest.
    Layer { layer: usize },
}

/// Histories of up to 23 events.
pub fn stories() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(events(), 1..24)
}

fn events() -> impl Strategy<Value = Event> {
    let repository = 0..REPOSITORIES.len();
    let tag = 0..TAGS.len();
    let layers = prop::collection::vec(0..7_usize, 0..4);
    let maybe_tag = prop::option::of(tag.clone());
    let manifest = any::<prop::sample::Index>;
    prop_oneof![
        6 => (repository.clone(), layers.clone(), 0..3_usize, maybe_tag.clone()).prop_map(
            |(repository, layers, label, tag)| Event::Image { repository, layers, label, tag }
        ),
        3 => (
            repository.clone(),
            prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            maybe_tag.clone()
        )
            .prop_map(|(repository, children, tag)| Event::Index { repository, children, tag }),
        3 => (repository.clone(), manifest(), 0..3_usize, maybe_tag).prop_map(
            |(repository, subject, label, tag)| Event::Referrer { repository, subject, label, tag }
        ),
        1 => (repository.clone(), layers, tag.clone()).prop_map(
            |(repository, layers, tag)| Event::Cache { repository, layers, tag }
        ),
        1 => (repository.clone(), 0..7_usize, tag.clone())
            .prop_map(|(repository, layer, tag)| Event::Alias { repository, layer, tag }),
        1 => (repository.clone(), manifest())
            .prop_map(|(repository, manifest)| Event::Copy { repository, manifest }),
        2 => (repository.clone(), manifest(), tag.clone()).prop_map(
            |(repository, manifest, tag)| Event::Tag { repository, manifest, tag }
        ),
        1 => (repository.clone(), tag)
            .prop_map(|(repository, tag)| Event::Untag { repository, tag }),
        1 => (repository, manifest())
            .prop_map(|(repository, manifest)| Event::Unlink { repository, manifest }),
        1 => (0..7_usize).prop_map(|layer| Event::Layer { layer }),
    ]
}

/// Builds the registry that a history leaves.
pub fn tell(story: &[Event]) -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    // Even a history of nothing leaves a registry.
    let first = registry.image("z").push_tag("1.0");
    let mut manifests = vec![first];
    for event in story {
        happen(&mut registry, &mut manifests, event);
    }
    registry
}

fn happen(registry: &mut RegistryBuilder, manifests: &mut Vec<Descriptor>, event: &Event) {
    let chosen = |index: &prop::sample::Index, manifests: &[Descriptor]| {
        (!manifests.is_empty()).then(|| index.get(manifests).clone())
    };
    match event {
        Event::Image { repository, layers, label, tag } => {
            let layers: Vec<Descriptor> = layers.iter().map(|&n| layer(registry, n)).collect();
            let image = registry
                .image(REPOSITORIES[*repository])
                .layers(&layers)
                .label("build", &label.to_string())
                .push_tags(tag.map(|tag| TAGS[tag]));
            manifests.push(image);
        }
        Event::Index { repository, children, tag } => {
            let children: Vec<Descriptor> =
                children.iter().filter_map(|index| chosen(index, manifests)).collect();
            let index = registry
                .index(REPOSITORIES[*repository])
                .children(&children)
                .push_tags(tag.map(|tag| TAGS[tag]));
            manifests.push(index);
        }
        Event::Referrer { repository, subject, label, tag } => {
            let Some(subject) = chosen(subject, manifests) else {
                return;
            };
            let content = registry.blob(format!("statement {label}"));
            let referrer = registry
                .image(REPOSITORIES[*repository])
                .artifact_type("application/example")
                .subject(&subject)
                .layers([&content])
                .push_tags(tag.map(|tag| TAGS[tag]));
            manifests.push(referrer);
        }
        Event::Cache { repository, layers, tag } => {
            let layers: Vec<Descriptor> = layers.iter().map(|&n| layer(registry, n)).collect();
            let cache = registry.buildkit_cache(REPOSITORIES[*repository], &layers, TAGS[*tag]);
            manifests.push(cache);
        }
        Event::Alias { repository, layer: number, tag } => {
            let layer = layer(registry, *number);
            let repository = REPOSITORIES[*repository];
            let alias = registry.sha512_alias(repository, &layer);
            let image = registry.image(repository).oci().layers([&alias]).push_tag(TAGS[*tag]);
            manifests.push(image);
        }
        Event::Copy { repository, manifest } => {
            if let Some(manifest) = chosen(manifest, manifests) {
                registry.link_revision(REPOSITORIES[*repository], &manifest.digest);
            }
        }
        Event::Tag { repository, manifest, tag } => {
            if let Some(manifest) = chosen(manifest, manifests) {
                registry.link_revision(REPOSITORIES[*repository], &manifest.digest);
                registry.tag(REPOSITORIES[*repository], TAGS[*tag], &manifest.digest);
            }
        }
        Event::Untag { repository, tag } => {
            registry.untag(REPOSITORIES[*repository], TAGS[*tag]);
        }
        Event::Unlink { repository, manifest } => {
            if let Some(manifest) = chosen(manifest, manifests) {
                let link = paths::revision_link(REPOSITORIES[*repository], &manifest.digest);
                registry.tree.remove(&link);
                keep_revisions_directory(registry, REPOSITORIES[*repository]);
            }
        }
        Event::Layer { layer: number } => {
            layer(registry, *number);
        }
    }
}

/// Sizes are powers of two, so that a wrong sum says which layers are in it.
fn layer(registry: &mut RegistryBuilder, number: usize) -> Descriptor {
    registry.layer(&format!("layer {number}"), 1 << (number + 12))
}

/// Without the directory, the whole repository would rightly be held.
fn keep_revisions_directory(registry: &mut RegistryBuilder, repository: &str) {
    let manifests = format!("{}/_manifests", paths::repository(repository));
    let is_there = registry.tree.iter().any(|(path, _)| path.starts_with(&manifests));
    if is_there {
        registry.put(format!("{manifests}/revisions/sha256"), regsql::sample::Content::Directory);
    }
}
