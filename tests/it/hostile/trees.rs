//! Whole registries, damaged at random: whatever lies on disk, every command ends, stays within the
//! root, and never calls something garbage that the undamaged registry needed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Instant;

use regsql::model::Digest;
use regsql::sample::{Content, Descriptor, Random, RegistryBuilder, Tree, paths};
use serde_json::Value;
use tempfile::TempDir;

use super::damage::{Damage, damage};
use crate::env::shown;
use crate::env::{behaves, regsql_in};

/// Trees in an ordinary run; `REGSQL_LONG_TESTS` makes it many more.
const TREES: u64 = 40;
const TREES_OF_LONG_TESTS: u64 = 2_000;

/// Stands in files and names outside of the storage, to which links lead.
const CANARY: &str = "canary7f3a";
/// What a link outside says, which is read when a symbolic link is followed.
const CANARY_DIGEST: &str =
    "sha256:ca9a71ca9a71ca9a71ca9a71ca9a71ca9a71ca9a71ca9a71ca9a71ca9a71ca9a";

/// Reports that need a value.
const PARAMETERS: &[(&str, &str)] = &[
    ("layer-images", "digest=sha256:0000"),
    ("older-than", "days=1"),
    ("keep-latest", "keep=1"),
    ("shared-with", "repository=team/app"),
    ("derived-images", "image=team/app:1.0"),
];

#[test]
fn a_damaged_registry_is_read_to_its_end_and_loses_nothing() {
    let count = match std::env::var_os("REGSQL_LONG_TESTS") {
        Some(_) => TREES_OF_LONG_TESTS,
        None => TREES,
    };
    // One that nobody has seen yet, too.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for seed in (1..count).chain([now.as_nanos() as u64]) {
        let result = std::panic::catch_unwind(|| survives(seed));
        assert!(result.is_ok(), "seed {seed} fails, see above");
    }
}

/// A registry of this number, damaged, and every command run on it.
fn survives(seed: u64) {
    let mut random = Random::new(seed);
    let registry = random_registry(&mut random);
    let needed = needed_by_tags(&registry.tree);
    let directory = outside();
    let root = directory.path().join("registry");
    registry.write_to(&root).unwrap();
    // Every third may also lose things, of which nobody can know then.
    let mode = if seed.is_multiple_of(3) { Damage::Anything } else { Damage::NothingRemoved };
    let done = damage(&mut random, &root, &directory.path().join("outside"), mode);
    let told = format!("seed {seed}: {done:#?}");

    let run = |arguments: &[&str]| {
        let output = behaves(regsql_in(directory.path(), arguments));
        let all = shown(&output);
        assert!(!all.contains(CANARY), "{told}\n{arguments:?} left the storage: {all}");
        assert!(!all.contains(&CANARY_DIGEST[7..]), "{told}\n{arguments:?} followed a link: {all}");
        output
    };
    let scan = run(&["scan", "registry"]);
    if scan.status.code() == Some(2) {
        // Even the top directories may be something else.
        assert_eq!(mode, Damage::Anything, "{told}\n{}", shown(&scan));
        return;
    }
    for name in reports().iter().skip(seed as usize % 4).step_by(4) {
        let mut arguments = vec!["report", name, "-f", "json"];
        for (_, parameter) in PARAMETERS.iter().filter(|(report, _)| report == name) {
            arguments.extend(["-p", parameter]);
        }
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{told}\n{}", shown(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
    }
    run(&["verify", "-f", "json"]);
    if !done.iter().any(|done| done.contains("TiB")) {
        run(&["verify", "--content"]);
    }
    for digest in needed.iter().take(1) {
        run(&["why", digest]);
    }
    run(&["why", "team/app:1.0", "-f", "json"]);

    let plan = run(&[
        "prune",
        "--garbage",
        "untagged-revisions",
        "--trust-storage",
        "--min-age",
        "0s",
        "-f",
        "json",
    ]);
    if mode == Damage::NothingRemoved {
        let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
        let items = plan["items"].as_array().unwrap();
        let lost: Vec<&str> = items
            .iter()
            .filter_map(|item| item["blob_digest"].as_str().or(item["manifest_digest"].as_str()))
            .filter(|digest| needed.contains(*digest))
            .collect();
        assert!(lost.is_empty(), "{told}\nneeded by a tag and called garbage: {lost:?}");
    }
}

/// A directory with the storage to be, and beside it what no command may look at.
fn outside() -> TempDir {
    let directory = crate::env::directory_in_memory();
    let outside = directory.path().join("outside");
    fs::create_dir_all(outside.join(CANARY)).unwrap();
    fs::write(outside.join("text"), CANARY).unwrap();
    fs::write(outside.join("link"), CANARY_DIGEST).unwrap();
    let manifest = format!(r#"{{"schemaVersion":2,"layers":[{{"digest":"{CANARY_DIGEST}"}}]}}"#);
    fs::write(outside.join("manifest"), manifest).unwrap();
    directory
}

/// Images of shared layers, indexes, referrers, untagged revisions, orphans and uploads.
fn random_registry(random: &mut Random) -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    let layers: Vec<Descriptor> =
        (0..6).map(|at| registry.layer(&format!("layer {at}"), 300 << at)).collect();
    for repository in ["team/app", "tool", "team/app/deep"] {
        let mut manifests = Vec::new();
        for tag in ["1.0", "1.1", "latest"] {
            let few = |random: &mut Random| {
                let chosen = layers.iter().filter(|_| random.chance(0.5));
                chosen.cloned().collect::<Vec<_>>()
            };
            let image = registry
                .image(repository)
                .layers(few(random).iter())
                .label("of", &format!("{repository} {tag}"))
                .push_tags(random.chance(0.7).then_some(tag));
            if random.chance(0.3) {
                let statement = registry.blob(format!("statement {repository} {tag}"));
                let referrer = registry.image(repository).artifact_type("application/example");
                referrer.subject(&image).layers([&statement]).push_tags(None::<&str>);
            }
            manifests.push(image);
        }
        if random.chance(0.5) {
            registry.index(repository).children(&manifests[..2]).push_tag("multi");
        }
    }
    registry.layer("orphan", 999);
    registry.upload("tool", "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10", 10, "2026-01-02T03:04:05Z");
    registry
}

/// Digests of all that a tag leads to, read from the files as simply as can be.
fn needed_by_tags(tree: &Tree) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut pending: Vec<String> = tree
        .iter()
        .filter(|(path, _)| path.ends_with("/current/link"))
        .map(|(_, entry)| match &entry.content {
            Content::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    while let Some(digest) = pending.pop() {
        let path = paths::blob(&Digest::parse(&digest).unwrap());
        let Some(entry) = tree.get(&path) else { continue };
        if let Content::Bytes(bytes) = &entry.content
            && let Ok(body) = serde_json::from_slice::<Value>(bytes)
            && needed.insert(digest.clone())
        {
            for named in ["config", "layers", "manifests"] {
                digests_in(&body[named], &mut pending);
            }
        }
        needed.insert(digest);
    }
    needed
}

fn digests_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| digests_in(item, found)),
        Value::Object(fields) => {
            found.extend(fields.get("digest").and_then(Value::as_str).map(str::to_owned));
        }
        _ => {}
    }
}

fn reports() -> Vec<String> {
    let queries = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("queries");
    // Those about many registries are in a directory of their own.
    let files = fs::read_dir(queries).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let mut names: Vec<String> =
        files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// More tags than anyone has, in one repository, and as many links.
#[test]
fn a_hundred_thousand_tags_in_one_repository_take_seconds() {
    const TAGS: usize = 100_000;
    const LINKS: usize = 10_000;
    // All tags have one link: making them takes far longer than reading.
    let directory = crate::env::directory_in_memory();
    let root = directory.path().join("registry");
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 100);
    registry.image("a").layers([&layer]).push_tag("first");
    registry.write_to(&root).unwrap();
    let links = root.join("docker/registry/v2/repositories/a/_layers/sha256");
    for at in 0..LINKS {
        let digest = Digest::of(&at.to_le_bytes());
        let link = links.join(digest.encoded());
        fs::create_dir(&link).unwrap();
        fs::write(link.join("link"), digest.to_string()).unwrap();
    }
    let tags = root.join("docker/registry/v2/repositories/a/_manifests/tags");
    let target = root.join(paths::tag_current("a", "first"));
    for at in 0..TAGS {
        let tag = tags.join(format!("1.{at}"));
        fs::create_dir(&tag).unwrap();
        fs::create_dir(tag.join("current")).unwrap();
        fs::hard_link(&target, tag.join("current/link")).unwrap();
    }
    let began = Instant::now();
    let run = |arguments: &[&str]| {
        let output = behaves(regsql_in(directory.path(), arguments));
        assert_ne!(output.status.code(), Some(2), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["scan", "registry"]);
    let count = run(&["sql", "SELECT count(*) AS n FROM tags", "-f", "json"]);
    assert!(count.contains("100001"), "{count}");
    let dangling =
        run(&["sql", "SELECT count(*) AS n FROM layer_links WHERE is_dangling", "-f", "json"]);
    assert!(dangling.contains("10000"), "{dangling}");
    run(&["report", "tags", "-f", "json"]);
    run(&["verify", "-f", "json"]);
    run(&["why", "a:1.99999"]);
    run(&["prune", "keep-latest", "-p", "keep=10", "--min-age", "0s", "-f", "json"]);
    let took = began.elapsed();
    assert!(took < crate::env::LIMIT, "{took:?}");
}

#[test]
fn a_storage_whose_own_name_is_hostile_is_worked_on_by_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"back\\slash\xff\x1b[2J\nline");
    let mut registry = RegistryBuilder::new();
    registry.image("app").push_tag("release-2026-01-15");
    registry.layer("orphan", 999);
    registry.write_to(&directory.path().join(name)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = regsql_in(directory.path(), arguments);
        if arguments == ["scan"] {
            command.arg(name);
        }
        let output = behaves(command);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["scan"]);
    for arguments in [
        &["verify", "--content"] as &[_],
        &["verify", "--max-scan-age", "0s"],
        &[
            "prune",
            "--garbage",
            "--min-age",
            "0s",
            "--max-scan-age",
            "0s",
            "--max-delete-percent",
            "100",
            "--delete",
            "--offline",
            "--yes",
        ],
        &["trash", "list"],
        &["undo"],
        &["verify", "--fail-on", "error"],
    ] {
        run(arguments);
    }
    // The tag has the form of a digest, too.
    let target = "app:release-2026-01-15";
    let plan = run(&[
        "prune",
        "--target",
        target,
        "--min-age",
        "0s",
        "--max-delete-percent",
        "100",
        "-f",
        "json",
    ]);
    assert!(plan.contains(r#""tags": 1"#), "{plan}");
}
