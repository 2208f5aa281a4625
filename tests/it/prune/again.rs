//! A push of what a run took: the trash gives up what came back, and keeps what the push still needs.

use std::fs;

use regsql::graph::Item;
use regsql::model::{Digest, Kind};
use regsql::prune::{Chosen, NeededAgain, Policy, plan};
use regsql::sample::{Content, Descriptor, RegistryBuilder, paths};
use regsql::trash;

use super::protected::config_digest;
use super::{Disk, act, plan_of, policy, tag};

/// An image, and its layers.
fn image(registry: &mut RegistryBuilder, name: &str) -> (Descriptor, [Descriptor; 2]) {
    let layers = [registry.layer("base", 900), registry.layer(name, 500)];
    let manifest = registry.image("app").layers(layers.iter()).label("name", name).push_tag(name);
    (manifest, layers)
}

/// Writes the files of `pushed` whose paths `is_written` says.
fn push(disk: &Disk, pushed: &RegistryBuilder, is_written: impl Fn(&str) -> bool) {
    for (path, entry) in pushed.tree.iter().filter(|(path, _)| is_written(path)) {
        if let Content::Bytes(bytes) = &entry.content {
            let path = disk.below(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Paths in the trash that must stay there.
fn needed(disk: &Disk) -> Vec<String> {
    let storage = disk.storage();
    let held = trash::held(&storage, false).unwrap();
    let needed = NeededAgain::new(&disk.graph(), &storage, &held);
    let moves = held.iter().flat_map(|run| &run.moves).filter(|item| needed.has(item));
    let mut paths: Vec<String> =
        moves.map(|item| item.path.to_string_lossy().into_owned()).collect();
    paths.sort();
    paths
}

/// The directories of a layer: its blob and its link.
fn layer(of: &Descriptor) -> [String; 2] {
    let link = paths::layer_link("app", &of.digest);
    [paths::blob_directory(&of.digest), link.trim_end_matches("/link").to_owned()]
}

#[test]
fn the_trash_keeps_what_a_push_still_needs_and_nothing_of_what_came_back() {
    let mut registry = RegistryBuilder::new();
    registry.image("app").label("name", "stays").push_tag("stays");
    image(&mut registry, "one");
    image(&mut registry, "two");
    let disk = Disk::of(&registry);
    let graph = disk.graph();
    let plan = plan_of(&graph, [tag("app", "one"), tag("app", "two")]);
    act(&disk.storage(), &graph, &plan, true).unwrap();
    assert_eq!(needed(&disk), [] as [String; 0], "nothing was pushed");

    // A manifest alone: what it names lies in the trash, and so does the other image.
    let mut pushed = RegistryBuilder::new();
    let (manifest, layers) = image(&mut pushed, "one");
    let hex = manifest.digest.encoded();
    push(&disk, &pushed, |path| path.contains("/_manifests/") || path.contains(&hex));
    let config = config_digest(&disk, &manifest);
    let mut expected: Vec<String> = layers.iter().flat_map(layer).collect();
    expected.extend([
        paths::blob_directory(&config),
        paths::layer_link("app", &config).trim_end_matches("/link").to_owned(),
    ]);
    expected.sort();
    assert_eq!(needed(&disk), expected, "all that the manifest names, and nothing else");

    // The links came back and the data did not.
    push(&disk, &pushed, |path| path.contains("/_layers/"));
    expected.retain(|path| path.contains("/blobs/"));
    assert_eq!(needed(&disk), expected);

    push(&disk, &pushed, |_| true);
    assert_eq!(needed(&disk), [] as [String; 0], "the whole image is there again");
}

/// A link of an old kind is not taken, and leads to the blob of the link that is first in its repository:
/// the second repository's links begin in the middle of all links that go.
#[test]
fn the_first_link_of_a_repository_stays_beside_a_second_name_that_a_cache_may_ask_for() {
    let mut registry = RegistryBuilder::new();
    registry.image("app").push_tag("1.0");
    for repository in ["app", "web"] {
        for content in ["first", "second", "third"] {
            let blob = registry.blob(content);
            registry.link_layer(repository, &blob.digest);
            if repository == "web" {
                let hex = Digest::of(content.as_bytes()).encoded();
                let old = Digest::parse(&format!("tarsum.v1+sha256:{hex}")).unwrap();
                registry.link_layer_alias(repository, &old, &blob.digest);
            }
        }
    }
    let disk = Disk::of(&registry);
    let graph = disk.graph();
    let mut chosen = Chosen::nothing(&graph);
    chosen.is_garbage_chosen = true;
    let beside_a_cache = Policy { spares_manifests: true, ..policy() };
    let planned = plan(chosen, &beside_a_cache);
    let of_web = planned.goes[Kind::LayerLink]
        .iter()
        .filter(|at| graph.repository_of(Item::new(Kind::LayerLink, **at)) == Some(1));
    assert_eq!(of_web.count(), 0, "no link in web goes");
    assert_eq!(planned.goes[Kind::LayerLink].len(), 3, "those in app go");
}
