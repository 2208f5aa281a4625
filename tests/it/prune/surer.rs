//! One index names a blob without saying what it is, another one says that it is a manifest. The
//! surer one counts, in whatever order they are met: the blob may then name anything.

use std::fs;

use regsql::prune::NeededAgain;
use regsql::sample::{Content, Descriptor, RegistryBuilder, media_types, paths};
use regsql::trash;

use super::{Disk, How, act, act_as, plan_of};

/// Garbage: a blob of unknown kind, an index that calls it a manifest, and a layer that is linked.
/// Gives the layer, and what a push writes of a tagged index that names the first two.
fn registry(number: usize) -> (RegistryBuilder, Descriptor, RegistryBuilder) {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 900);
    registry.image("app").layers([&base]).push_tag("other");
    let linked = registry.layer("linked", 500);
    registry.link_layer("app", &linked.digest);
    let odd = registry.blob(format!(r#"{{"parts":[{number}]}}"#));
    let index = media_types::OCI_INDEX;
    let entry = |kind: &str, of: &Descriptor| {
        format!(r#"{{{kind}"size":{},"digest":"{}"}}"#, of.size, of.digest)
    };
    let body = |entries: &str| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[{entries}]}}"#)
    };
    let of_type = |name: &str| format!(r#""mediaType":"{name}","#);
    let inner = registry.blob(body(&entry(&of_type(media_types::OCI_MANIFEST), &odd)));
    let mut pushed = RegistryBuilder::new();
    let entries = [entry(&of_type(index), &inner), entry("", &odd)].join(",");
    let outer = pushed.manifest("app", body(&entries));
    pushed.tag("app", "list", &outer.digest);
    (registry, linked, pushed)
}

fn push(disk: &Disk, pushed: &RegistryBuilder) {
    for (path, entry) in pushed.tree.iter() {
        if let Content::Bytes(bytes) = &entry.content {
            let path = disk.below(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn a_push_keeps_what_the_surer_of_two_indexes_needs() {
    let (registry, linked, pushed) = registry(0);
    let disk = Disk::of(&registry);
    let graph = disk.graph();
    let push_first = |step| {
        if step == 0 {
            push(&disk, &pushed);
        }
    };
    let how = How { before_step: &push_first, ..How::alone(true) };
    act_as(&disk.storage(), &graph, &plan_of(&graph, []), &how).unwrap();
    assert!(disk.below(paths::layer_link("app", &linked.digest)).exists());
    assert!(disk.below(paths::blob(&linked.digest)).exists());
}

#[test]
fn a_purge_keeps_what_the_surer_of_two_indexes_needs() {
    // The order of digests decides which of the two is met first.
    for number in 0..6 {
        let (registry, linked, pushed) = registry(number);
        let disk = Disk::of(&registry);
        let graph = disk.graph();
        act(&disk.storage(), &graph, &plan_of(&graph, []), true).unwrap();
        assert!(!disk.below(paths::blob(&linked.digest)).exists(), "it is garbage");
        push(&disk, &pushed);
        let storage = disk.storage();
        let held = trash::held(&storage, false).unwrap();
        let needed = NeededAgain::new(&disk.graph(), &storage, &held);
        let name = linked.digest.to_string();
        let moves = held.iter().flat_map(|run| &run.moves).filter(|item| item.name == name);
        let is_needed: Vec<bool> = moves.map(|item| needed.has(item)).collect();
        assert_eq!(is_needed, [true, true], "number {number}: the link and the blob");
    }
}
