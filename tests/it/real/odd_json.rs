//! Manifests that no specification foresees and that the registry takes and serves all the same.
//! Whatever it answered with 201 is readable: no tag on it is broken, no repository is held for it,
//! and what it names stays.

use std::collections::BTreeSet;

use regsql::model::{Certainty, Classified, Digest, classify};
use regsql::sample::Random;

use super::layout::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest_of};
use super::pushes::{DOCKER_LIST, DOCKER_MANIFEST};
use super::registry::Registry;
use super::snapshot::Snapshot;

const REPOSITORY: &str = "odd/app";

/// Bodies that are tried; `REGSQL_LONG_TESTS` makes it twenty times as many.
const BODIES: usize = 400;

/// Keys that mean something in some manifest, and one that means nothing in any.
const KEYS: &[&str] = &[
    "history",
    "fsLayers",
    "blobs",
    "manifests",
    "config",
    "layers",
    "subject",
    "artifactType",
    "annotations",
    "signatures",
    "name",
    "tag",
    "architecture",
    "schemaVersion",
    "mediaType",
    "platform",
    "urls",
    "size",
    "digest",
    "data",
    "x-vendor",
    r"\ud800",
    "ſubject",
    "LAYERS",
    "Config",
];

/// Values that make no sense under most keys.
const VALUES: &[&str] = &[
    "null",
    "true",
    "5",
    "-1",
    "0.5",
    "1e999",
    "123456789012345678901234567890",
    "\"\"",
    "\"none\"",
    "\"2\"",
    r#""\ud800""#,
    r#""app:v1""#,
    r#""a\u0000b\/""#,
    "[]",
    "[null]",
    "[[[[]]]]",
    "[1,\"x\",{}]",
    "{}",
    r#"{"a":1}"#,
    r#"{"digest":5}"#,
    r#"{"digest":"none","size":-1}"#,
    r#"[{"digest":"sha256:"}]"#,
    r#"{"digest":null}"#,
    r#"{"v1Compatibility":[]}"#,
    r#"[{"blobSum":7}]"#,
    "\"\u{fffd}\u{0085}\"",
];

/// One object, its keys in order and as often as they come.
#[derive(Clone, Default)]
struct Object(Vec<(String, String)>);

impl Object {
    fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push((key.to_owned(), value.into()));
        self
    }

    fn text(&self, space: &str) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{space}\"{key}\"{space}:{value}")).collect();
        format!("{{{}{space}}}", members.join(","))
    }

    /// Adds an odd member, changes one, or writes one twice.
    fn disturb(&mut self, random: &mut Random, blobs: &[String]) {
        let pick = |random: &mut Random, texts: &[&str]| {
            texts[random.below(texts.len() as u64) as usize].to_owned()
        };
        let odd = |random: &mut Random| match random.below(8) {
            0 => format!("\"{}\"", blobs[random.below(blobs.len() as u64) as usize]),
            1 => {
                let blob = &blobs[random.below(blobs.len() as u64) as usize];
                format!(r#"[{{"digest":"{blob}","{blob}":"app@{blob}"}}]"#)
            }
            2 => {
                let depth = random.below(900) as usize;
                format!("{}{}", "[".repeat(depth), "]".repeat(depth))
            }
            _ => pick(random, VALUES),
        };
        let at = random.below(self.0.len() as u64 + 1) as usize;
        match random.below(8) {
            0 if at < self.0.len() => {
                let again = self.0[at].clone();
                self.0.push(again);
            }
            1 if at < self.0.len() => self.0[at].0 = self.0[at].0.to_uppercase(),
            2 if at < self.0.len() => {
                let again = (self.0[at].0.clone(), odd(random));
                self.0.insert(random.below(at as u64 + 1) as usize, again);
            }
            3 if at < self.0.len() => self.0[at].1 = odd(random),
            4 if at < self.0.len() => drop(self.0.remove(at)),
            _ => self.0.insert(at, (pick(random, KEYS), odd(random))),
        }
        // A size that is wrong is a fault of the manifest that says it.
        for (key, value) in &mut self.0 {
            if key.eq_ignore_ascii_case("size") && value.len() < 3 {
                "-1".clone_into(value);
            }
        }
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Object {
    Object::default()
        .with("mediaType", format!("\"{media_type}\""))
        .with("size", bytes.len().to_string())
        .with("digest", format!("\"{}\"", digest_of(bytes)))
}

struct Pushed {
    tag: String,
    body: Vec<u8>,
}

/// Pushes odd manifests and gives those that the registry took and serves.
fn push_odd_ones(registry: &Registry, count: usize) -> Vec<Pushed> {
    let mut random = Random::named("odd manifests");
    let layers: Vec<Vec<u8>> = (0..6).map(|n| random.bytes(500 + n)).collect();
    let config = br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let mut blobs: Vec<String> =
        layers.iter().map(|layer| registry.put_blob(REPOSITORY, layer)).collect();
    blobs.push(registry.put_blob(REPOSITORY, config));
    let image = |media_type: &str| {
        let layers: Vec<String> =
            layers[..2].iter().map(|layer| descriptor(OCI_LAYER, layer).text("")).collect();
        Object::default()
            .with("schemaVersion", "2")
            .with("mediaType", format!("\"{media_type}\""))
            .with("config", descriptor(OCI_CONFIG, config).text(""))
            .with("layers", format!("[{}]", layers.join(",")))
    };
    let child = image(OCI_MANIFEST).text("");
    registry.put_manifest(REPOSITORY, "child", child.as_bytes(), OCI_MANIFEST);
    let mut taken = Vec::new();
    for number in 0..count {
        let media_type =
            [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST][random.below(4) as usize];
        let is_index = [OCI_INDEX, DOCKER_LIST].contains(&media_type);
        let mut inner = if is_index {
            let platform = r#"{"os":"linux","os":"linux","architecture":"arm64","variant":null}"#;
            descriptor(OCI_MANIFEST, child.as_bytes()).with("platform", platform)
        } else {
            let layer = &layers[random.below(layers.len() as u64) as usize];
            descriptor(OCI_LAYER, layer)
        };
        if random.chance(0.5) {
            inner.disturb(&mut random, &blobs);
        }
        let mut outer = if is_index {
            Object::default()
                .with("schemaVersion", "2")
                .with("mediaType", format!("\"{media_type}\""))
                .with("manifests", format!("[{}]", inner.text("")))
        } else {
            let mut outer = image(media_type);
            outer.0[3].1 = format!("[{}]", inner.text(" "));
            outer
        };
        for _ in 0..random.below(3) {
            outer.disturb(&mut random, &blobs);
        }
        outer.0.push(("n".to_owned(), number.to_string()));
        let space = ["", " ", "\n\t", "\r\n                        "][random.below(4) as usize];
        let mut body = format!("{space}{}{space}", outer.text(space)).into_bytes();
        // Bad UTF-8 in the one place where any text may stand.
        if random.chance(0.1) {
            let at = body.len() - space.len() - 1;
            drop(body.splice(at..at, *b",\"bad\":\"\xff\xfe\""));
        }
        let tag = format!("t{number}");
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let answer = registry.send("PUT", &path, &[("Content-Type", media_type)], &body);
        if answer.status == 201 && registry.ask("GET", &path).status == 200 {
            taken.push(Pushed { tag, body });
        }
    }
    taken
}

#[test]
fn what_the_registry_takes_and_serves_is_readable_and_keeps_what_it_names() {
    let count = if std::env::var_os("REGSQL_LONG_TESTS").is_some() { 20 * BODIES } else { BODIES };
    let mut registry = Registry::start();
    let taken = push_odd_ones(&registry, count);
    // Or it would show nothing.
    assert!(taken.len() > count / 5, "only {} of {count} were taken", taken.len());
    for Pushed { body, .. } in &taken {
        let digest = Digest::of(body);
        let classified = classify(&digest, Ok(body), Certainty::Certain);
        let text = String::from_utf8_lossy(body);
        assert!(matches!(classified, Classified::Manifest(_)), "{classified:?}\n{text}");
    }

    let db = registry.beside().join("registry.db");
    super::snapshot::scan(&db, &registry.root());
    let snapshot = Snapshot::open(&db);
    let none: BTreeSet<String> = BTreeSet::new();
    let broken = snapshot.texts("SELECT tag FROM tags WHERE is_broken");
    let broken: Vec<String> = taken
        .iter()
        .filter(|pushed| broken.contains(&pushed.tag))
        .map(|pushed| String::from_utf8_lossy(&pushed.body).into_owned())
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert_eq!(snapshot.texts("SELECT code FROM problems WHERE severity = 'error'"), none);
    assert_eq!(snapshot.texts("SELECT path FROM unreadable_roots"), none);
    let tagged = snapshot.texts("SELECT tag FROM tags");
    assert!(taken.iter().all(|pushed| tagged.contains(&pushed.tag)));

    // And nothing that one of them names goes.
    registry.stop();
    let output = crate::env::regsql()
        .args([
            "prune",
            "untagged-revisions",
            "--garbage",
            "--min-age",
            "0s",
            "--delete",
            "--offline",
        ])
        .args(["--max-delete-percent", "100", "--yes", "--no-trash", "--db"])
        .arg(&db)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    registry.serve();
    for Pushed { tag, body } in &taken {
        let answer = registry.ask("GET", &format!("/v2/{REPOSITORY}/manifests/{tag}"));
        assert_eq!(answer.body, *body, "{tag}");
    }
    let named: BTreeSet<Digest> = taken
        .iter()
        .flat_map(|pushed| regsql::model::digests_in(&pushed.body))
        .filter(|digest| *digest != Digest::of(b""))
        .collect();
    for digest in named {
        let answer = registry.ask("HEAD", &format!("/v2/{REPOSITORY}/blobs/{digest}"));
        let manifest = registry.ask("HEAD", &format!("/v2/{REPOSITORY}/manifests/{digest}"));
        assert!(answer.status == 200 || manifest.status == 200, "{digest} is gone");
    }
}
