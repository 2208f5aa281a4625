//! Every damaged or dressed-up storage: all that is untagged and all garbage is pruned, the damage
//! is healed, and then a real registry serves every tag that it served before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use regsql::db;
use regsql::graph::reach;
use regsql::model::Digest;
use regsql::prune::NeededAgain;
use regsql::sample::{Content, Descriptor, RegistryBuilder, media_types, paths};
use regsql::storage::{FilesystemStorage, locate};
use regsql::trash;
use regsql::why::Question;
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

mod cases;

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
        let mut command = crate::env::regsql();
        command.arg("--db").arg(database).args(arguments).output().unwrap()
    };
    assert!(regsql(&["scan", root.to_str().unwrap()]).status.success(), "{name}");
    let verdicts = verdicts(database);
    let output = regsql(
        &[
            &["prune", "untagged-revisions", "--garbage", "--trust-storage", "--accept-vanished"],
            &ACTING[..],
        ]
        .concat(),
    );
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {:?} {error}", output.status);
    assert!(!error.contains("panicked"), "{name}: {error}");

    gone(&root, case, &garbage, &String::from_utf8_lossy(&output.stdout));
    agree(&root, database, case, &verdicts, &output.stdout);
    heal(&root, &whole, &damaged);
    let after = pulls(&root);
    assert_eq!(after.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
    assert_none_lost(&expected, &after, name);
    let still = answers(registry, &builder);
    for (path, answer) in &served {
        assert_eq!(still.get(path), Some(answer), "{name}: {path}");
    }
}

/// What `why` says of each blob: whether it is garbage, or something that is kept needs it.
fn verdicts(database: &Path) -> BTreeMap<String, String> {
    let connection = db::open_for_reading(database).unwrap();
    let mut select = connection.prepare("SELECT digest FROM blobs WHERE is_present").unwrap();
    let blobs: Vec<String> =
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let verdict = |blob: &String| {
        let question = Question::new(&connection, blob).unwrap();
        question.answer().unwrap().verdict.name().to_owned()
    };
    blobs.iter().map(|blob| (blob.clone(), verdict(blob))).collect()
}

/// What the deletion took, what the trash frees and what `why` said go by one rule.
fn agree(
    root: &Path,
    database: &Path,
    case: &Case,
    verdicts: &BTreeMap<String, String>,
    output: &[u8],
) {
    let name = case.name;
    let plan: Value = serde_json::from_slice(output).unwrap();
    let items = plan["items"].as_array().unwrap().iter();
    let blobs = items.filter(|item| item["kind"] == "blob").map(|item| &item["blob_digest"]);
    let taken: BTreeSet<&str> = blobs.map(|digest| digest.as_str().unwrap()).collect();
    let garbage = verdicts.iter().filter(|(_, verdict)| *verdict == "garbage");
    for (digest, _) in garbage {
        let is_garbage = taken.contains(digest.as_str());
        let data = root.join(paths::blob(&Digest::parse(digest).unwrap()));
        assert!(is_garbage || data.exists(), "{name}: {digest} went and nobody said so");
    }
    let storage = FilesystemStorage::open(locate(root).unwrap()).unwrap();
    let graph = db::read_graph(&db::open_for_reading(database).unwrap()).unwrap();
    let runs = trash::held(&storage, false).unwrap();
    let needed = NeededAgain::new(&graph, &storage, &runs);
    let kept = runs.iter().flat_map(|run| &run.moves).find(|item| needed.has(item));
    assert!(kept.is_none(), "{name}: a purge would keep what the deletion took: {kept:?}");
    for digest in taken {
        // What only untagged revisions need is kept until they go in the same run.
        let blob = graph.blob_by_digest(&Digest::parse(digest).unwrap());
        let reach = reach(&graph);
        assert!(blob.is_none_or(|blob| !reach.is_kept[blob as usize]), "{name}: {digest} is kept");
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
