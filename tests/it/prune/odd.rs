//! Repositories that are odd and not damaged: names of any bytes, tags that say nothing, one inside
//! another, and a plan of which a person saw a part.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use regsql::graph::{BlobNode, Edge, FreeOrder, Graph, Parts, RepositoryNode, TagNode, free};
use regsql::model::{Digest, Role};
use regsql::model::{Kind, Name};
use regsql::prune::{Chosen, Policy, plan};
use regsql::sample::{Content, RegistryBuilder, paths};

use super::crash::{chosen, registry};
use super::pulls::{assert_none_lost, pulls};
use super::{Disk, act, plan_of, policy, tag};

fn repository(name: &str) -> Name {
    Name::Repository { repository: name.into() }
}

#[test]
fn names_of_any_bytes_go_and_come_back() {
    let names: [&[u8]; 5] =
        [b"new\nline", b"back\\slash", b"not-utf8-\xff\xfe", b"esc\x1b[31m", b"\\xff"];
    let mut builder = RegistryBuilder::new();
    let layer = builder.layer("shared", 900);
    for number in 0..names.len() {
        let name = format!("placeholder-{number}");
        let own = builder.layer(&name, 500);
        for tag in ["goes", "stays"] {
            let image = builder.image(&name).layers([&layer, &own]).label("tag", tag);
            image.push_tag(&format!("{tag}-{number}"));
        }
        builder.upload(&name, &name, 10, "2026-01-02T03:04:05Z");
    }
    let disk = Disk::of(&builder);
    for (number, name) in names.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        let placeholder = format!("placeholder-{number}");
        let tag = disk.below(paths::tag(&placeholder, &format!("goes-{number}")));
        fs::rename(&tag, tag.with_file_name(name)).unwrap();
        let upload = disk.below(paths::upload(&placeholder, &placeholder));
        fs::rename(&upload, upload.with_file_name(name)).unwrap();
        let repository = disk.below(paths::repository(&placeholder));
        fs::rename(&repository, repository.with_file_name(name)).unwrap();
    }
    let (tree, before) = (disk.tree(), pulls(&disk.root()));
    let query = "--sql=SELECT repository, tag FROM tags WHERE tag NOT LIKE 'stays%'";
    let done = disk.prune(&["--garbage", query]);
    assert_eq!(done["skipped"].as_array().unwrap().len(), 0, "{done:#}");
    assert_eq!(done["counts"]["tags"], 5);
    assert_eq!(done["counts"]["revisions"], 5);
    assert_eq!(done["counts"]["uploads"], 5);
    let after = pulls(&disk.root());
    assert_eq!(after.len(), 5);
    assert!(after.keys().all(|(_, tag)| tag.to_str().unwrap().starts_with("stays")), "{after:?}");
    assert_none_lost(&before, &after, "pruned");
    disk.undo_all("pruned");
    tree.assert_same(&disk.tree(), "undone");
}

#[test]
fn a_repository_goes_whole_with_its_half_tags_and_stops_nothing_else() {
    for uses_trash in [true, false] {
        let mut builder = registry();
        builder.put(paths::tag("whole", "half"), Content::Directory);
        let old = paths::tag_index("whole", "half", &Digest::of(b"deleted"));
        builder.put(old, Content::Bytes(Digest::of(b"deleted").to_string().into()));
        let disk = Disk::of(&builder);
        let tree = disk.tree();
        let graph = disk.graph();
        let done = act(&disk.storage(), &graph, &chosen(&graph), uses_trash).unwrap();
        assert_eq!(done.skipped, []);
        assert!(done.names.contains(&repository("whole")), "{:?}", done.names);
        assert!(!disk.below(paths::repository("whole")).join("_manifests").exists());
        assert!(disk.below(paths::tag_current("whole/inner", "1.0")).exists());
        if uses_trash {
            disk.undo_all("pruned");
            tree.assert_same(&disk.tree(), "undone");
        }
    }
}

#[test]
fn a_tag_that_got_a_link_meanwhile_stays_with_its_image() {
    let mut builder = registry();
    builder.put(paths::tag("whole", "half"), Content::Directory);
    let disk = Disk::of(&builder);
    let graph = disk.graph();
    let plan = chosen(&graph);
    let target = fs::read(disk.below(paths::tag_current("whole", "1.0"))).unwrap();
    let current = disk.below(paths::tag_current("whole", "half"));
    fs::create_dir(current.parent().unwrap()).unwrap();
    fs::write(current, target).unwrap();
    let done = act(&disk.storage(), &graph, &plan, true).unwrap();
    assert!(!done.skipped.is_empty());
    let after = pulls(&disk.root());
    assert!(
        after[&("whole".into(), "half".into())].values().all(|is_there| *is_there),
        "{after:?}"
    );
}

#[test]
fn a_repository_that_keeps_manifests_keeps_the_directory_of_its_links() {
    let mut builder = registry();
    let stray = format!("{}/_manifests/tags/.DS_Store", paths::repository("whole"));
    builder.put(&stray, Content::Bytes(b"x".to_vec()));
    let disk = Disk::of(&builder);
    let graph = disk.graph();
    let done = act(&disk.storage(), &graph, &chosen(&graph), true).unwrap();
    assert!(disk.below(&stray).exists());
    // The registry's own collector stops at a repository without it.
    assert!(disk.below(paths::repository("whole")).join("_layers").is_dir());
    assert!(!done.names.contains(&repository("whole")), "{:?}", done.names);
}

#[test]
fn a_repository_that_cannot_be_read_whole_does_not_go_whole() {
    let mut builder = registry();
    let digest = builder.image("whole").label("un", "tagged").push().digest;
    builder.put(paths::blob(&digest), Content::Bytes(b"{".to_vec()));
    let disk = Disk::of(&builder);
    let graph = disk.graph();
    let plan = plan_of(&graph, [repository("whole")]);
    let is_told = |skipped: &regsql::prune::Skipped| skipped.name == repository("whole");
    assert!(plan.skipped.iter().any(is_told), "{:?}", plan.skipped);
    act(&disk.storage(), &graph, &plan, true).unwrap();
    assert!(disk.below(paths::tag_current("whole", "1.0")).exists());
    assert!(disk.below(paths::blob(&digest)).exists());
}

#[test]
fn a_revision_whose_place_cannot_be_told_keeps_what_it_needs() {
    let mut builder = RegistryBuilder::new();
    let layer = builder.layer("own", 900);
    let image = builder.image("whole").layers([&layer]).push();
    let hex = "ab".repeat(48);
    let odd = format!("{}/_manifests/revisions/sha384/{hex}/link", paths::repository("whole"));
    builder.put(&odd, Content::Bytes(image.digest.to_string().into()));
    let disk = Disk::of(&builder);
    let graph = disk.graph();
    let done = act(&disk.storage(), &graph, &plan_of(&graph, [repository("whole")]), true).unwrap();
    if disk.below(&odd).exists() {
        assert!(disk.below(paths::blob(&layer.digest)).exists(), "{:?}", done.names);
        assert!(disk.below(paths::blob(&image.digest)).exists(), "{:?}", done.names);
    }
}

/// Whether a person has seen an item of a plan, by its number and name.
type IsSeen = fn(usize, &Name) -> bool;

/// Whatever part of a plan a person has seen, nothing else goes, and no image breaks.
#[test]
fn what_was_not_in_the_plan_that_was_shown_stays_whole() {
    let all: Vec<Name> = {
        let disk = Disk::of(&registry());
        let graph = disk.graph();
        chosen(&graph).names(&graph).collect()
    };
    let seen: [IsSeen; 6] = [
        |at, _| at % 2 == 0,
        |at, _| at % 3 == 0,
        |_, name| matches!(name, Name::Blob { .. }),
        |_, name| !matches!(name, Name::LayerLink { .. }),
        |_, name| matches!(name, Name::Tag { .. } | Name::Blob { .. } | Name::LayerLink { .. }),
        |_, name| matches!(name, Name::Revision { .. } | Name::Blob { .. }),
    ];
    for (number, is_seen) in seen.iter().enumerate() {
        let disk = Disk::of(&registry());
        let before = pulls(&disk.root());
        let graph = disk.graph();
        let seen: Vec<Name> = (0..)
            .zip(&all)
            .filter(|(at, name)| is_seen(*at, name))
            .map(|(_, name)| name.clone())
            .collect();
        let mut wished = Chosen::nothing(&graph);
        wished.is_garbage_chosen = true;
        for name in &all {
            wished.add(name.clone());
        }
        let only = Some(seen.iter().cloned().collect());
        let plan = plan(wished, &Policy { only, ..policy() });
        for name in plan.names(&graph) {
            assert!(seen.contains(&name), "choice {number}: {} goes", name.text());
        }
        let done = act(&disk.storage(), &graph, &plan, true).unwrap();
        assert_eq!(done.skipped, [], "choice {number}");
        assert_none_lost(&before, &pulls(&disk.root()), &format!("choice {number}"));
    }
}

/// Holes can be of any size, and the sum of a few passes what a number of bytes has room for.
#[test]
fn sizes_that_no_disk_has_add_up_to_no_small_number() {
    let huge_bytes = i64::MAX as u64;
    let blob = |name: &str, is_orphan: bool| BlobNode {
        digest: Digest::of(name.as_bytes()),
        size_bytes: Some(huge_bytes),
        may_be_manifest: false,
        is_layer: !is_orphan,
        changed_ns: Some(0),
    };
    let mut blobs = ["a", "b", "c"].map(|name| blob(name, true)).to_vec();
    blobs.extend(["manifest", "layer", "layer two", "layer three"].map(|name| blob(name, false)));
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    let place = |name: &str| {
        let digest = Digest::of(name.as_bytes());
        blobs.iter().position(|blob| blob.digest == digest).unwrap() as u32
    };
    let manifest = place("manifest");
    let named = ["layer", "layer two", "layer three"].map(place);
    let edge = |blob| Edge { manifest, role: Role::Layer, blob, is_external: false };
    let whole = RepositoryNode {
        name: "app".into(),
        tags: 0..1,
        revisions: 0..1,
        ..RepositoryNode::default()
    };
    let tag_node =
        TagNode { name: "1.0".into(), target: Some(manifest), pushed_ns: Some(0), subject: None };
    let graph = Graph::new(Parts {
        manifests: vec![manifest],
        edges: named.map(edge).to_vec(),
        repositories: vec![whole],
        tags: vec![tag_node],
        revisions: vec![manifest],
        revisions_pushed_ns: vec![Some(0)],
        blobs: blobs.into(),
        ..Parts::default()
    });
    assert_eq!(plan_of(&graph, []).freed_bytes, u64::MAX);
    let planned = plan_of(&graph, [tag("app", "1.0")]);
    assert_eq!(
        (planned.goes[Kind::Blob].len(), planned.freed_bytes, planned.shared_bytes),
        (7, u64::MAX, 0)
    );
    for order in [FreeOrder::Fewest, FreeOrder::Oldest, FreeOrder::Given] {
        let choice = free(&graph, &[0], u64::MAX, order);
        assert_eq!((choice.picks.len(), choice.freed_bytes), (1, u64::MAX));
    }
}

#[test]
fn a_link_from_one_blob_to_another_keeps_that_one() {
    // What a program leaves that replaces equal files by links: of the data, of a blob's directory, of a shard.
    for (depth, is_relative) in [(0, false), (0, true), (1, false), (1, true), (2, false)] {
        let mut builder = RegistryBuilder::new();
        let layer = builder.layer("needed", 500);
        builder.image("app").layers([&layer]).push_tag("1.0");
        let orphan = builder.layer("nothing names it", 500);
        let disk = Disk::of(&builder);
        let up = |digest: &Digest| {
            let data = disk.below(paths::blob(digest));
            data.ancestors().nth(depth).unwrap().to_owned()
        };
        let (place, target) = (up(&layer.digest), up(&orphan.digest));
        let away = disk.below("away");
        fs::rename(&place, &away).unwrap();
        let v2 = disk.below("docker/registry/v2/blobs/sha256");
        let below = target.strip_prefix(&v2).unwrap();
        let leads_to = match depth {
            _ if !is_relative => target.clone(),
            0 => std::path::Path::new("../..").join(below),
            _ => std::path::Path::new("..").join(below),
        };
        std::os::unix::fs::symlink(&leads_to, &place).unwrap();
        let graph = disk.graph();
        let plan = plan_of(&graph, []);
        assert_eq!(plan.counts()[Kind::Blob], 0, "{}", leads_to.display());
        // One that leads to another disk hides nothing of this one.
        fs::remove_file(&place).unwrap();
        let elsewhere = disk.directory.path().join("d2").join(place.file_name().unwrap());
        fs::create_dir(elsewhere.parent().unwrap()).unwrap();
        fs::rename(&away, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        let graph = disk.graph();
        assert_eq!(plan_of(&graph, []).counts()[Kind::Blob], 1, "{}", elsewhere.display());
    }
}

#[test]
fn a_link_into_another_repository_keeps_what_is_there() {
    // Each directory or file of a repository that can be shared with another, from the path and as a path.
    let mut builder = RegistryBuilder::new();
    let layer = builder.layer("needed", 500);
    let image = builder.image("app").layers([&layer]).push_tag("1.0");
    builder.image("other").push_tag("1.0");
    let below =
        |path: String| path.strip_prefix(&paths::repository("app")).unwrap()[1..].to_owned();
    let revision = below(paths::revision_link("app", &image.digest));
    let link = below(paths::layer_link("app", &layer.digest));
    let directory = |path: &str| path.strip_suffix("/link").unwrap().to_owned();
    let places = [
        "_layers".to_owned(),
        "_layers/sha256".to_owned(),
        "_manifests/revisions".to_owned(),
        "_manifests/revisions/sha256".to_owned(),
        directory(&revision),
        directory(&link),
        revision,
        link,
    ];
    let needs =
        [paths::revision_link("other", &image.digest), paths::layer_link("other", &layer.digest)];
    for place in &places {
        let disk = Disk::of(&builder);
        let [own, shared] =
            ["app", "other"].map(|name| disk.below(paths::repository(name)).join(place));
        // Whatever is there is in the other repository, too, and only this one needs it.
        merge(&own, &shared);
        if own.is_dir() { fs::remove_dir_all(&own) } else { fs::remove_file(&own) }.unwrap();
        std::os::unix::fs::symlink(&shared, &own).unwrap();
        let untagged = Name::Revision {
            repository: "other".into(),
            manifest_digest: image.digest.to_string(),
        };
        let before: Vec<bool> = needs.iter().map(|path| disk.below(path).exists()).collect();
        assert!(before.contains(&true), "{place}");
        let graph = disk.graph();
        act(&disk.storage(), &graph, &plan_of(&graph, [untagged]), true).unwrap();
        let after: Vec<bool> = needs.iter().map(|path| disk.below(path).exists()).collect();
        assert_eq!(after, before, "{place}");
        assert!(disk.below(paths::blob(&layer.digest)).exists(), "{place}");
    }
}

#[test]
fn a_tag_that_is_a_link_into_another_repository_keeps_these_two_and_no_others() {
    for is_whole_directory in [false, true] {
        let mut builder = RegistryBuilder::new();
        let images = ["app", "other", "third"].map(|name| {
            let layer = builder.layer(name, 500);
            let image = builder.image(name).layers([&layer]).push_tag("1.0");
            builder.image(name).label("later", "image").push_tag("2.0");
            image.digest.to_string()
        });
        let disk = Disk::of(&builder);
        let [own, shared] = ["app", "other"].map(|name| disk.below(paths::tag(name, "2.0")));
        let up = |path: &std::path::Path| {
            let shared = if is_whole_directory { path.parent() } else { Some(path) };
            shared.unwrap().to_owned()
        };
        fs::remove_dir_all(up(&own)).unwrap();
        std::os::unix::fs::symlink(up(&shared), up(&own)).unwrap();
        let untagged = ["app", "other", "third"].into_iter().zip(images);
        let untagged = untagged.map(|(repository, manifest_digest)| {
            drop(fs::remove_dir_all(disk.below(paths::tag(repository, "1.0"))));
            Name::Revision { repository: repository.into(), manifest_digest }
        });
        let untagged: Vec<Name> = untagged.collect();
        let graph = disk.graph();
        let plan = plan_of(&graph, untagged.clone());
        let revisions: Vec<Name> =
            plan.names(&graph).filter(|name| name.kind() == Some(Kind::Revision)).collect();
        assert_eq!(revisions, untagged[2..], "{is_whole_directory}");
    }
}

#[test]
fn an_upload_that_a_blob_is_a_link_to_stays() {
    let mut builder = RegistryBuilder::new();
    let layer = builder.layer("needed", 500);
    builder.image("app").layers([&layer]).push_tag("1.0");
    builder.upload("app", "left", 500, "2026-01-02T03:04:05Z");
    builder.upload("app", "stale", 500, "2026-01-02T03:04:05Z");
    let disk = Disk::of(&builder);
    let data = disk.below(paths::blob(&layer.digest));
    let upload = disk.below(paths::upload("app", "left")).join("data");
    fs::rename(&data, &upload).unwrap();
    std::os::unix::fs::symlink(&upload, &data).unwrap();
    let graph = disk.graph();
    let plan = plan_of(&graph, []);
    let uploads = plan.goes[Kind::Upload].iter().map(|at| &graph.uploads[*at as usize].upload_id);
    assert_eq!(uploads.collect::<Vec<_>>(), ["stale"]);
}

/// Copies what is not there.
fn merge(from: &std::path::Path, to: &std::path::Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if !to.exists() {
            fs::copy(from, to).unwrap();
        }
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        merge(&from.join(&name), &to.join(&name));
    }
}

#[test]
fn a_manifest_that_only_a_referrer_is_about_is_seen_to_be_one() {
    let mut registry = RegistryBuilder::new();
    let image = registry.image("app").push();
    registry
        .image("app")
        .oci()
        .artifact_type("application/spdx+json")
        .subject(&image)
        .push_tag("x");
    let disk = Disk::of(&registry);
    let link = disk.below(paths::revision_link("app", &image.digest));
    std::fs::remove_dir_all(link.parent().unwrap()).unwrap();
    // Beside a registry that remembers manifests it must be spared, as any that is garbage.
    let graph = disk.graph();
    let blob = graph.blob_by_digest(&image.digest).unwrap();
    assert!(graph.blobs[blob as usize].may_be_manifest);
}
