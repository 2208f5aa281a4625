//! Every damaged or dressed-up storage: all that is untagged and all garbage is pruned, the damage
//! is healed, and then a real registry serves every tag that it served before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use regsql::model::Digest;
use regsql::sample::{Content, Descriptor, RegistryBuilder, media_types, paths};
use serde_json::Value;

use super::ACTING;
use super::pulls::{assert_none_lost, pulls};
use crate::real::layout::digest_of;
use crate::real::registry::Registry;
use crate::tree::{Node, Tree};

/// What garbage a damage rightly keeps, because something unreadable may need it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// None: all garbage of healthy repositories goes.
    Nothing,
    /// Unknown revisions: whatever is small enough to be a manifest stays.
    Manifests,
    /// Unknown repositories: every blob stays.
    Storage,
}

struct Case {
    name: &'static str,
    /// Adds to the healthy registry.
    build: fn(&mut RegistryBuilder),
    /// Damages it on disk.
    damage: fn(&Path),
    hold: Hold,
}

const UPLOAD: &str = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
/// No registry takes a manifest of this size.
const TOO_LARGE_FOR_A_MANIFEST: u64 = 5_000_000;

/// What is planted in `bystander/app`, which no case touches.
struct Garbage {
    orphan: Digest,
    unneeded_link: Digest,
    untagged: Digest,
    untagged_layer: Digest,
}

/// `team/app` has a tag of each kind, for a case to damage.
fn healthy(registry: &mut RegistryBuilder) -> Garbage {
    let base = registry.layer("base", 5_000);
    for tag in ["1.0", "2.0"] {
        let own = registry.layer(&format!("own {tag}"), 2_000);
        registry.image("team/app").layers([&base, &own]).push_tag(tag);
    }
    let children = ["amd64", "arm64"].map(|name| {
        let own = registry.layer(name, 1_500);
        registry
            .image("team/app")
            .oci()
            .layers([&base, &own])
            .platform(&format!("linux/{name}"))
            .push()
    });
    let attestation = registry.attestation("team/app", &children[0]);
    let index = registry.index("team/app").children(&children).children([&attestation]);
    let index = index.push_tag("multi");
    registry.referrer("team/app", &index, "application/spdx+json", "{\"spdx\":1}");
    let own = registry.layer("lost", 1_000);
    registry.image("team/app").layers([&base, &own]).push();
    registry.image("other/app").layers([&base]).push_tag("1.0");

    registry.image("bystander/app").layers([&base]).push_tag("1.0");
    let orphan = Digest::of(b"orphan");
    registry.put(paths::blob(&orphan), Content::Sparse(TOO_LARGE_FOR_A_MANIFEST));
    let elsewhere = registry.layer("own 2.0", 2_000);
    registry.link_layer("bystander/app", &elsewhere.digest);
    registry.upload("bystander/app", UPLOAD, 10, "2026-01-02T03:04:05Z");
    let untagged_layer = Digest::of(b"untagged layer");
    registry.put(paths::blob(&untagged_layer), Content::Sparse(TOO_LARGE_FOR_A_MANIFEST));
    let layer = Descriptor::new(untagged_layer.clone(), TOO_LARGE_FOR_A_MANIFEST)
        .of_type(media_types::DOCKER_LAYER);
    let untagged = registry.image("bystander/app").layers([&base, &layer]).push().digest;
    Garbage { orphan, unneeded_link: elsewhere.digest, untagged, untagged_layer }
}

// Where `healthy` has put things, found again on disk by a damage.

fn target(root: &Path, tag: &str) -> Digest {
    let text = fs::read_to_string(root.join(paths::tag_current("team/app", tag))).unwrap();
    Digest::parse(&text).unwrap()
}

fn revision(root: &Path, tag: &str) -> PathBuf {
    root.join(paths::revision_link("team/app", &target(root, tag)))
}

fn manifest(root: &Path, tag: &str) -> PathBuf {
    root.join(paths::blob(&target(root, tag)))
}

fn child(root: &Path) -> Digest {
    let index: Value = serde_json::from_slice(&fs::read(manifest(root, "multi")).unwrap()).unwrap();
    Digest::parse(index["manifests"][0]["digest"].as_str().unwrap()).unwrap()
}

/// The own layer of `1.0`.
fn layer(root: &Path) -> Digest {
    let image: Value = serde_json::from_slice(&fs::read(manifest(root, "1.0")).unwrap()).unwrap();
    Digest::parse(image["layers"][1]["digest"].as_str().unwrap()).unwrap()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(paths::repository("team/app")).join(path)
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

/// Moves a part of the storage away, and leaves a symbolic link to it.
fn symlink_away(path: &Path) {
    let moved = tempfile::tempdir().unwrap().keep().join("moved");
    fs::rename(path, &moved)
        .or_else(|_| Command::new("mv").arg(path).arg(&moved).status().map(drop))
        .unwrap();
    symlink(&moved, path).unwrap();
}

fn nothing(_: &mut RegistryBuilder) {}

fn no_damage(_: &Path) {}

macro_rules! cases {
    ($($name:literal: $build:expr, $damage:expr, $hold:ident;)*) => {
        [$(Case { name: $name, build: $build, damage: $damage, hold: Hold::$hold }),*]
    };
}

#[test]
fn no_damage_to_a_link_costs_an_image() {
    prune_all(&cases! {
        "01 a revision link is empty": nothing, |root| {
            fs::write(revision(root, "1.0"), "").unwrap();
        }, Nothing;
        "01 the revision link of an index's child is empty": nothing, |root| {
            fs::write(root.join(paths::revision_link("team/app", &child(root))), "").unwrap();
        }, Nothing;
        "02 a tag's link is empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "1.0")), "").unwrap();
        }, Nothing;
        "02 the link of an index's tag is empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "multi")), "").unwrap();
        }, Nothing;
        "02 a tag's link and all it remembers are empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "1.0")), "").unwrap();
            remove(&root.join(paths::tag("team/app", "1.0")).join("index"));
        }, Manifests;
        "02 a tag's `current` is a file": nothing, |root| {
            let current = root.join(paths::tag("team/app", "1.0")).join("current");
            remove(&current);
            fs::write(current, "").unwrap();
        }, Nothing;
        "03 a layer link is empty": nothing, |root| {
            fs::write(root.join(paths::layer_link("team/app", &layer(root))), "").unwrap();
        }, Nothing;
        "04 white space in links": nothing, |root| {
            for path in [revision(root, "1.0"), root.join(paths::tag_current("team/app", "2.0"))] {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, format!("{text}\r\n")).unwrap();
            }
        }, Nothing;
        "04 a digest is cut short": nothing, |root| {
            fs::write(revision(root, "1.0"), "sha256:abc").unwrap();
        }, Nothing;
        "05 a revision link holds another digest": nothing, |root| {
            let other = target(root, "2.0").to_string();
            fs::write(revision(root, "1.0"), other).unwrap();
            remove(revision(root, "2.0").parent().unwrap());
        }, Nothing;
        "05 a layer link holds another digest": nothing, |root| {
            let link = root.join(paths::layer_link("team/app", &layer(root)));
            fs::write(link, Digest::of(b"other").to_string()).unwrap();
        }, Nothing;
        "06 temporary files": nothing, |root| {
            let link = revision(root, "1.0");
            fs::write(link.with_file_name("link.0b8a1c62.tmp"), "sha256:").unwrap();
            let data = manifest(root, "1.0");
            fs::write(data.with_file_name("data.0b8a1c62.tmp"), "{").unwrap();
        }, Nothing;
        "09 a tag without its revision": nothing, |root| {
            remove(revision(root, "1.0").parent().unwrap());
        }, Nothing;
        "09 an index's child without its revision": nothing, |root| {
            remove(root.join(paths::revision_link("team/app", &child(root))).parent().unwrap());
        }, Nothing;
        "10 half tags": |registry| {
            let image = registry.image("team/app").push_tag("half");
            registry.tag("team/app", "3.0", &image.digest);
            let current = format!("{}/current", paths::tag("team/app", "half"));
            assert!(registry.tree.remove(&current));
            registry.put(paths::tag("team/app", "empty"), Content::Directory);
        }, no_damage, Nothing;
        "11 stray files among tags": nothing, |root| {
            fs::write(below(root, "_manifests/tags/.DS_Store"), "x").unwrap();
            fs::write(below(root, "_manifests/tags/.nfs000000000012f3a400000001"), "x").unwrap();
        }, Nothing;
        "29 tarsum links": |registry| {
            let layer = registry.layer("old", 1_500);
            let hex = Digest::of(b"tarsum").encoded();
            let path = paths::repository("team/app");
            let path = format!("{path}/_layers/tarsum/v1/sha256/{hex}/link");
            registry.put(path, Content::Bytes(layer.digest.to_string().into()));
            registry.image("team/app").layers([&layer]).push_tag("tarsum");
        }, no_damage, Nothing;
        "35 a dangling link": |registry| {
            registry.link_layer("team/app", &Digest::of(b"collected long ago"));
        }, no_damage, Nothing;
        "36 empty directories": nothing, |root| {
            let gone = Digest::of(b"gone").encoded();
            for part in ["_manifests/revisions/sha256", "_layers/sha256"] {
                fs::create_dir_all(below(root, part).join(&gone)).unwrap();
            }
        }, Nothing;
    });
}

#[test]
fn no_damage_to_a_manifest_or_blob_costs_an_image() {
    prune_all(&cases! {
        "07 a manifest is missing": nothing, |root| {
            remove(manifest(root, "1.0").parent().unwrap());
        }, Nothing;
        "07 an index is missing": nothing, |root| {
            remove(manifest(root, "multi").parent().unwrap());
        }, Nothing;
        "07 an index's child is missing": nothing, |root| {
            remove(root.join(paths::blob_directory(&child(root))).as_path());
        }, Nothing;
        "08 a manifest is empty": nothing, |root| {
            fs::write(manifest(root, "1.0"), "").unwrap();
        }, Nothing;
        "08 an index is cut short": nothing, |root| {
            fs::write(manifest(root, "multi"), "{\"schemaVersion\":2,\"manifests\":[").unwrap();
        }, Nothing;
        "08 a child is two documents": nothing, |root| {
            let path = root.join(paths::blob(&child(root)));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, [text.clone(), text].concat()).unwrap();
        }, Nothing;
        "12 foreign names among blobs": nothing, |root| {
            for path in ["ab/data", "ab/abcd/data", "a/data"] {
                let path = root.join(paths::V2).join("blobs/sha256").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
        }, Nothing;
        "13 a copied folder": nothing, |root| {
            let path = root.join(paths::V2).join("blobs/sha256 (copy)/aa/data");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }, Nothing;
        "14 something else in blobs' directories": nothing, |root| {
            fs::create_dir_all(root.join(paths::blob(&Digest::of(b"nested"))).join("inner")).unwrap();
            fs::create_dir_all(root.join(paths::blob_directory(&Digest::of(b"empty")))).unwrap();
            fs::write(manifest(root, "1.0").with_file_name(".nfs0000deadbeef"), "x").unwrap();
        }, Nothing;
        "15 a layer is cut short": nothing, |root| {
            fs::write(root.join(paths::blob(&layer(root))), "cut").unwrap();
        }, Nothing;
        "15 the empty blob is a layer": |registry| {
            let empty = registry.blob("");
            registry.image("team/app").layers([&empty]).push_tag("empty");
        }, no_damage, Nothing;
        "16 a layer holds other bytes": nothing, |root| {
            fs::write(root.join(paths::blob(&layer(root))), vec![b'x'; 2_000]).unwrap();
        }, Nothing;
        "41 a manifest over four mebibytes": nothing, |root| {
            fs::File::create(manifest(root, "1.0")).unwrap().set_len(4 << 20 | 1).unwrap();
        }, Nothing;
        "41 a revision link to a layer": nothing, |root| {
            let path = root.join(paths::revision_link("team/app", &layer(root)));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, layer(root).to_string()).unwrap();
        }, Nothing;
    });
}

#[test]
fn no_unusual_image_is_lost() {
    prune_all(&cases! {
        "18 a sparse index beside a whole one": |registry| {
            for (sparse, whole) in [("a/sparse", "b/whole"), ("d/sparse", "c/whole")] {
                let layer = registry.layer(whole, 1_300);
                let child = registry.image(whole).oci().layers([&layer]).push();
                let index = registry.index(whole).children([&child]).push_tag("1.0");
                registry.link_revision(sparse, &index.digest);
                registry.tag(sparse, "1.0", &index.digest);
            }
        }, no_damage, Nothing;
        "19 untagged here, tagged there": |registry| {
            for (here, there) in [("a/one", "b/two"), ("d/one", "c/two")] {
                let layer = registry.layer(there, 1_300);
                registry.image(here).layers([&layer]).push();
                registry.image(there).layers([&layer]).push_tag("1.0");
            }
        }, no_damage, Nothing;
        "20 a deep nest of indexes": |registry| {
            let layer = registry.layer("bottom", 1_300);
            let mut top = registry.image("team/deep").oci().layers([&layer]).push();
            for _ in 0..100 {
                top = registry.index("team/deep").children([&top]).push();
            }
            registry.tag("team/deep", "deep", &top.digest);
        }, no_damage, Nothing;
        "21 a build cache": |registry| {
            let layers = ["one", "two"].map(|name| registry.layer(name, 1_400));
            registry.buildkit_cache("ci/cache", &layers, "main");
        }, no_damage, Nothing;
        "22 foreign layers and platforms left out": |registry| {
            let base = registry.layer("windows", 1_400);
            let foreign = Descriptor::foreign_layer("windows-base", 1_700_000);
            let image = registry.image("team/windows").layers([&foreign, &base]).push_tag("1.0");
            let absent = Descriptor::new(Digest::of(b"never mirrored"), 528);
            registry.index("team/windows").children([&image, &absent]).push_tag("multi");
        }, no_damage, Nothing;
        "24 and 25 schema 1 with signatures": |registry| {
            let layers = ["old base", "old app"].map(|name| registry.layer(name, 1_600));
            let image = registry.schema1("team/old", &layers, "1.0");
            let signature = registry.blob("{\"payload\":\"signed\"}");
            let link = paths::revision_link("team/old", &image.digest);
            let path = link.replace("/link", "/signatures/sha256/");
            let path = format!("{path}{}/link", signature.digest.encoded());
            registry.put(path, Content::Bytes(signature.digest.to_string().into()));
        }, no_damage, Nothing;
        "26 an unknown manifest": |registry| {
            let blob = registry.layer("art", 1_700);
            registry.link_layer("team/art", &blob.digest);
            let body = format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[{{"digest":"{}","size":1700}}]}}"#,
                blob.digest
            );
            let manifest = registry.manifest("team/art", body);
            registry.tag("team/art", "1.0", &manifest.digest);
        }, no_damage, Nothing;
        "27 no media type": |registry| {
            let layer = registry.layer("untyped", 1_800);
            let image = registry.image("team/untyped").layers([&layer]).without_media_type().push();
            registry.index("team/untyped").children([&image]).without_media_type().push_tag("1.0");
        }, no_damage, Nothing;
        "28 a layer named by sha512": |registry| {
            let layer = registry.layer("named by sha512", 1_900);
            let alias = registry.sha512_alias("team/long", &layer);
            registry.image("team/long").oci().layers([&alias]).push_tag("1.0");
        }, no_damage, Nothing;
        "40 referrers and signatures": |registry| {
            let layer = registry.layer("signed", 1_200);
            let image = registry.image("team/signed").oci().layers([&layer]).push_tag("1.0");
            let bill = registry.referrer("team/signed", &image, "application/spdx+json", "{}");
            registry.referrer("team/signed", &bill, "application/example.seal", "sealed");
            registry.cosign_signature("team/signed", &image);
        }, no_damage, Nothing;
    });
}

// Case 23, a pull-through cache, is refused as a whole: prune_online::modes.
#[test]
fn no_damage_to_a_repository_or_storage_costs_an_image() {
    prune_all(&cases! {
        "30 a failed push": |registry| {
            let layer = registry.layer("came before the push failed", 1_100);
            registry.link_layer("team/failed", &layer.digest);
        }, no_damage, Nothing;
        "31 no layer links": nothing, |root| remove(&below(root, "_layers")), Nothing;
        "32 no revisions": nothing, |root| remove(&below(root, "_manifests/revisions")), Manifests;
        "33 names that the registry refuses": |registry| {
            for name in ["Bad_Repo", "lost+found"] {
                let layer = registry.layer(name, 1_100);
                registry.image(name).layers([&layer]).push_tag("1.0");
            }
        }, no_damage, Nothing;
        "33 a repository moved aside": nothing, |root| {
            let from = root.join(paths::repository("team/app"));
            fs::rename(from, root.join(paths::repository("_app"))).unwrap();
        }, Nothing;
        "34 nested names": |registry| {
            for name in ["a", "a/b", "a/b/c"] {
                let layer = registry.layer(name, 1_100);
                registry.image(name).layers([&layer]).push_tag("1.0");
                registry.image(name).layers([&layer]).label("un", "tagged").push();
            }
        }, no_damage, Nothing;
        "37 uploads without a start": |registry| {
            registry.upload("team/app", "not-a-uuid", 10, "yesterday");
        }, no_damage, Nothing;
        "38 a repository behind a symbolic link": nothing, |root| {
            symlink_away(&root.join(paths::repository("team/app")));
        }, Storage;
        "38 layer links behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_layers"));
        }, Storage;
        "38 manifests behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests"));
        }, Manifests;
        "38 revisions behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/revisions"));
        }, Manifests;
        "38 tags behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/tags"));
        }, Manifests;
        "38 a tag behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/tags/1.0"));
        }, Manifests;
        "38 a manifest behind a symbolic link": nothing, |root| {
            symlink_away(manifest(root, "multi").parent().unwrap());
        }, Nothing;
        "38 a shard of blobs behind a symbolic link": nothing, |root| {
            let directory = root.join(paths::blob_directory(&child(root)));
            symlink_away(directory.parent().unwrap());
        }, Nothing;
        "38 uploads behind a symbolic link": |registry| {
            registry.upload("team/app", UPLOAD, 10, "2026-01-02T03:04:05Z");
        }, |root| symlink_away(&below(root, "_uploads")), Nothing;
        "39 a file named like a repository": nothing, |root| {
            fs::write(root.join(paths::repository("empty")), "").unwrap();
            fs::create_dir_all(root.join(paths::V2).join("blobs/04")).unwrap();
        }, Nothing;
        "42 odd tags": |registry| {
            let image = registry.image("team/app").push_tag("_x");
            for name in ["a".repeat(128).as_str(), "Latest", "latest", "x\ny", "back\\slash"] {
                registry.tag("team/app", name, &image.digest);
            }
            let layer = registry.layer("odd", 1_100);
            for name in ["new\nline", "back\\slash", "quote'"] {
                registry.image(name).layers([&layer]).push_tag("1.0");
                registry.image(name).layers([&layer]).label("un", "tagged").push();
            }
        }, no_damage, Nothing;
    });
}

fn prune_all(cases: &[Case]) {
    // One server for all: without a descriptor cache it remembers nothing of the case before.
    let registry = Registry::start();
    let database = registry.beside().join("registry.db");
    for case in cases {
        for own in ["docker", ".regsql", "scheduler-state.json"] {
            let path = registry.root().join(own);
            if path.exists() {
                remove(&path);
            }
        }
        prune_one(case, &registry, &database);
    }
}

fn prune_one(case: &Case, registry: &Registry, database: &Path) {
    let (root, name) = (registry.root(), case.name);
    let mut builder = RegistryBuilder::new();
    let garbage = healthy(&mut builder);
    (case.build)(&mut builder);
    builder.write_to(&root).unwrap();
    let served = answers(registry, &builder);
    let expected = pulls(&root);
    assert!(served.len() > 15, "{name}: {served:?}");
    let whole = Tree::of_registry(&root);
    (case.damage)(&root);
    let damaged = Tree::of_registry(&root);

    let regsql = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regsql"));
        command.arg("--db").arg(database).args(arguments).output().unwrap()
    };
    assert!(regsql(&["scan", root.to_str().unwrap()]).status.success(), "{name}");
    let output = regsql(&[&["prune", "untagged-revisions", "--garbage"], &ACTING[..]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {:?} {error}", output.status);
    assert!(!error.contains("panicked"), "{name}: {error}");

    gone(&root, case, &garbage, &String::from_utf8_lossy(&output.stdout));
    heal(&root, &whole, &damaged);
    let after = pulls(&root);
    assert_eq!(after.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
    assert_none_lost(&expected, &after, name);
    let still = answers(registry, &builder);
    for (path, answer) in &served {
        assert_eq!(still.get(path), Some(answer), "{name}: {path}");
    }
}

/// Brings back what the damage took, and only that.
fn heal(root: &Path, whole: &Tree, damaged: &Tree) {
    for (path, node) in &damaged.nodes {
        if whole.nodes.get(path) != Some(node) && fs::symlink_metadata(root.join(path)).is_ok() {
            let path = root.join(path);
            if path.is_dir() && !path.is_symlink() {
                // Only what the damage made is taken away, and it may hold what is needed.
                drop(fs::remove_dir(&path));
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
    }
    for (path, node) in &whole.nodes {
        if damaged.nodes.get(path) == Some(node) {
            continue;
        }
        let path = root.join(path);
        match node {
            Node::File { bytes, .. } => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            _ => fs::create_dir_all(path).unwrap(),
        }
    }
}

/// What nothing can need, whatever is damaged elsewhere.
fn gone(root: &Path, case: &Case, garbage: &Garbage, plan: &str) {
    let (name, repository) = (case.name, "bystander/app");
    let mut gone = vec![
        paths::revision_link(repository, &garbage.untagged),
        paths::layer_link(repository, &garbage.unneeded_link),
        paths::upload(repository, UPLOAD),
    ];
    if case.hold != Hold::Storage {
        gone.push(paths::blob(&garbage.orphan));
        gone.push(paths::blob(&garbage.untagged_layer));
    }
    if case.hold == Hold::Nothing {
        gone.push(paths::blob(&garbage.untagged));
    }
    for path in gone {
        assert!(!root.join(&path).exists(), "{name}: {path} is still there; {plan}");
    }
}

/// What the registry answers for each tag and all that it leads to, as far as it serves it: the
/// digest of what came.
fn answers(registry: &Registry, builder: &RegistryBuilder) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    let mut met = BTreeSet::new();
    for (path, _) in builder.tree.iter() {
        let Some(path) = path.strip_prefix(&format!("{}/repositories/", paths::V2)) else {
            continue;
        };
        let Some((repository, rest)) = path.split_once("/_manifests/tags/") else {
            continue;
        };
        let (tag, _) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |name: &str| name.chars().all(|char| char.is_ascii_graphic());
        if is_plain(repository) && is_plain(tag) && met.insert((repository, tag)) {
            pull(registry, repository, tag, &mut answers);
        }
    }
    answers
}

fn pull(registry: &Registry, repository: &str, tag: &str, answers: &mut BTreeMap<String, String>) {
    let mut pending = vec![tag.to_owned()];
    let mut ask = |path: String| {
        let answer = registry.ask("GET", &path);
        let body = (answer.status == 200).then_some(answer.body)?;
        // Schema 1 is signed anew for each answer.
        let is_signed = body.windows(8).any(|text| text == b"fsLayers");
        let told = if is_signed { "signed".into() } else { digest_of(&body) };
        answers.insert(path, told).is_none().then_some(body)
    };
    while let Some(reference) = pending.pop() {
        let manifest = ask(format!("/v2/{repository}/manifests/{reference}"));
        let body = manifest.unwrap_or_default();
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let digests = |list: &str| {
            let items = json[list].as_array().cloned().unwrap_or_default();
            let text = |item: &Value| {
                let digest = item["digest"].as_str().or(item["blobSum"].as_str());
                digest.unwrap_or_default().to_owned()
            };
            items.iter().map(text).collect::<Vec<_>>()
        };
        let blobs = ["layers", "blobs", "fsLayers", "manifests"].map(digests).concat();
        for blob in blobs.into_iter().chain(json["config"]["digest"].as_str().map(str::to_owned)) {
            ask(format!("/v2/{repository}/blobs/{blob}"));
        }
        pending.extend(digests("manifests"));
    }
}
