//! What regsql says of repositories, tags, digests and sizes is what the registry's API says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::known::Known;
use super::registry::Registry;
use super::snapshot::Snapshot;

#[test]
fn single_platform_images_are_as_the_api_says() {
    compare(&Known::simple());
}

#[test]
fn indexes_artifacts_and_caches_are_as_the_api_says() {
    compare(&Known::full());
}

fn compare(known: &Known) {
    let registry = &known.registry;
    let snapshot = Snapshot::of(&registry.root());

    // The registry lists a repository once it has a layer; an unfinished upload alone is not one.
    let mut repositories = names(registry, "/v2/_catalog", "repositories");
    assert!(repositories.insert(known.stalled.0.to_owned()));
    assert_eq!(snapshot.texts("SELECT repository FROM repositories"), repositories);

    let mut said = BTreeMap::new();
    for repository in &repositories {
        for tag in names(registry, &format!("/v2/{repository}/tags/list"), "tags") {
            let facts = tag_facts(registry, repository, &tag);
            said.insert((repository.clone(), tag), facts);
        }
    }
    assert!(said.len() > 5, "{said:?}");
    // A tag's own figure counts referrers, too, which following the tag does not lead to.
    let sql =
        "SELECT t.repository, t.tag, t.manifest_digest, m.logical_bytes, t.layer_count, t.is_broken
         FROM tags t JOIN manifests m ON m.digest = t.manifest_digest";
    let tags: BTreeMap<_, _> = snapshot
        .rows(sql, |row| {
            let key: (String, String) = (row.get(0)?, row.get(1)?);
            let facts = TagFacts {
                digest: row.get(2)?,
                logical_bytes: row.get(3)?,
                layer_count: row.get(4)?,
                is_broken: row.get(5)?,
            };
            Ok((key, facts))
        })
        .into_iter()
        .collect();
    assert_eq!(tags, said);
    let other_figures =
        "SELECT count(*) FROM tags t JOIN manifests m ON m.digest = t.manifest_digest
         WHERE t.logical_bytes <> m.logical_bytes AND (t.logical_bytes < m.logical_bytes
            OR NOT EXISTS (SELECT 1 FROM manifests r WHERE r.subject_digest IS NOT NULL))";
    assert_eq!(snapshot.number(other_figures), 0);
    let count = snapshot.number("SELECT sum(tag_count) FROM repositories");
    assert_eq!(count, said.len() as i64);

    layers_have_the_lengths_that_the_api_sends(registry, &snapshot);
    links_and_revisions_are_what_the_api_serves(registry, &snapshot);
    let uploads = snapshot.rows("SELECT repository, upload_id, size_bytes FROM uploads", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    let (repository, id, size) = &known.stalled;
    assert_eq!(uploads, [((*repository).to_owned(), id.clone(), *size as i64)]);
}

fn layers_have_the_lengths_that_the_api_sends(registry: &Registry, snapshot: &Snapshot) {
    let sql = "SELECT DISTINCT k.repository, l.digest, l.size_bytes
               FROM layers l JOIN layer_links k ON k.link_digest = l.digest";
    let layers = snapshot.rows(sql, |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    assert!(layers.len() > 5, "{layers:?}");
    for (repository, digest, size) in layers {
        assert_eq!(
            blob_length(registry, &repository, &digest),
            Some(size),
            "{repository} {digest}"
        );
    }
}

fn links_and_revisions_are_what_the_api_serves(registry: &Registry, snapshot: &Snapshot) {
    let dangling = snapshot.number("SELECT count(*) FROM layer_links WHERE is_dangling");
    assert_eq!(dangling, 0, "nothing was collected yet");
    for (repository, digest) in snapshot.pairs("SELECT repository, link_digest FROM layer_links") {
        let length = blob_length(registry, &repository, &digest);
        assert!(length.is_some(), "{repository} {digest} is linked and not served");
    }
    let sql = "SELECT repository, manifest_digest FROM revisions";
    for (repository, digest) in snapshot.pairs(sql) {
        let answer = registry.ask("GET", &format!("/v2/{repository}/manifests/{digest}"));
        assert_eq!(answer.status, 200, "{repository} {digest} is a revision and not served");
    }
}

/// A list of names in an answer; a repository that never had a tag answers 404.
fn names(registry: &Registry, path: &str, key: &str) -> BTreeSet<String> {
    let answer = registry.ask("GET", path);
    if answer.status == 404 {
        return BTreeSet::new();
    }
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("Link"), None, "{path} goes on in a second page");
    let json = answer.json();
    let names = json[key].as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[derive(Debug, PartialEq)]
struct TagFacts {
    digest: String,
    logical_bytes: i64,
    layer_count: i64,
    is_broken: bool,
}

/// Follows a tag through the API: everything it names, each digest once.
fn tag_facts(registry: &Registry, repository: &str, tag: &str) -> TagFacts {
    let mut seen = Seen { registry, repository, sizes: BTreeMap::new(), layers: BTreeSet::new() };
    let digest = seen.manifest(tag);
    let logical_bytes = seen.sizes.values().sum();
    TagFacts { digest, logical_bytes, layer_count: seen.layers.len() as i64, is_broken: false }
}

struct Seen<'a> {
    registry: &'a Registry,
    repository: &'a str,
    sizes: BTreeMap<String, i64>,
    layers: BTreeSet<String>,
}

impl Seen<'_> {
    fn manifest(&mut self, reference: &str) -> String {
        let path = format!("/v2/{}/manifests/{reference}", self.repository);
        let answer = self.registry.ask("GET", &path);
        assert_eq!(answer.status, 200, "{path}");
        let digest = answer.must_have("Docker-Content-Digest");
        self.sizes.insert(digest.clone(), answer.body.len() as i64);
        let body = answer.json();
        if body["config"].is_object() {
            self.blob(&body["config"]);
        }
        for layer in list(&body, "layers") {
            self.layers.insert(text(layer, "digest"));
            self.blob(layer);
        }
        for child in list(&body, "manifests") {
            // In a build cache the entries of an index are layers and a config.
            if text(child, "mediaType").contains("manifest") {
                self.manifest(&text(child, "digest"));
            } else {
                if text(child, "mediaType").contains("rootfs.diff") {
                    self.layers.insert(text(child, "digest"));
                }
                self.blob(child);
            }
        }
        digest
    }

    fn blob(&mut self, descriptor: &Value) {
        let digest = text(descriptor, "digest");
        match blob_length(self.registry, self.repository, &digest) {
            Some(size) => drop(self.sizes.insert(digest, size)),
            // A foreign layer lies elsewhere.
            None => assert!(descriptor["urls"].is_array(), "{descriptor} is missing"),
        }
    }
}

fn blob_length(registry: &Registry, repository: &str, digest: &str) -> Option<i64> {
    let answer = registry.ask("HEAD", &format!("/v2/{repository}/blobs/{digest}"));
    match answer.status {
        200 => Some(answer.must_have("Content-Length").parse().unwrap()),
        404 => None,
        status => panic!("{repository} {digest}: {status}"),
    }
}

fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}
