//! OpenShift's integrated registry: no tags on disk, images and streams in etcd. What docs/openshift.md says is
//! run on such a storage, and compared with the algorithm of the registry's own hard prune.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{blobs, block, broken, run, stdout};
use crate::real::layout::{Image, digest_of, layer};
use crate::real::registry::Registry;
use crate::real::{pushes, skopeo};

/// A cluster: what is in etcd, and the registry's storage.
struct Cluster {
    registry: Registry,
    /// `Image` objects by name.
    images: BTreeMap<String, Image>,
    /// `status.tags[].items[].image` of each stream, the newest first.
    streams: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Cluster {
    fn new() -> Self {
        let (images, streams) = (BTreeMap::new(), BTreeMap::new());
        Self { registry: Registry::start(), images, streams }
    }

    /// `docker push`: the registry writes no tag, and makes the objects.
    fn push(&mut self, stream: &str, tag: &str, image: &Image) {
        pushes::put(&self.registry, stream, &image.digest(), image);
        for child in &image.children {
            self.images.insert(child.digest(), child.clone());
        }
        self.images.insert(image.digest(), image.clone());
        self.tag(stream, tag, image);
    }

    /// `oc tag`: the storage knows nothing of it.
    fn tag(&mut self, stream: &str, tag: &str, image: &Image) {
        let tags = self.streams.entry(stream.to_owned()).or_default();
        tags.entry(tag.to_owned()).or_default().insert(0, image.digest());
    }

    /// Writes what `oc get images -o json` and `oc get imagestreams -A -o json` print.
    fn export(&self) {
        let images = self.images.values().map(|image| {
            let layers = image.blobs.iter().skip(1).map(|blob| {
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "name": digest_of(blob), "size": blob.len()})
            });
            let children = image.children.iter().map(|child| {
                json!({"architecture": child.platform.1, "digest": child.digest(), "manifestSize": child.manifest.len(), "mediaType": child.media_type, "os": child.platform.0})
            });
            let id = image.blobs.first().map(|config| digest_of(config));
            json!({
                "apiVersion": "image.openshift.io/v1",
                "dockerImageLayers": layers.collect::<Vec<_>>(),
                "dockerImageManifestMediaType": image.media_type,
                "dockerImageManifests": children.collect::<Vec<_>>(),
                "dockerImageMetadata": {"Architecture": "amd64", "Config": {}, "Id": id, "Size": 7, "apiVersion": "image.openshift.io/1.0", "kind": "DockerImage"},
                "dockerImageMetadataVersion": "1.0",
                "dockerImageReference": format!("image-registry.openshift-image-registry.svc:5000/a/app@{}", image.digest()),
                "kind": "Image",
                "metadata": {"annotations": {"image.openshift.io/dockerLayersOrder": "ascending"}, "creationTimestamp": "2026-01-02T03:04:05Z", "name": image.digest(), "resourceVersion": "1", "uid": "6c7"},
            })
        });
        let list = |items: Vec<Value>| json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}});
        let streams = self.streams.iter().map(|(name, tags)| {
            let (namespace, name) = name.split_once('/').unwrap();
            let host = "image-registry.openshift-image-registry.svc:5000";
            let tags = tags.iter().map(|(tag, items)| {
                let items = items.iter().map(|image| json!({"created": "2026-01-02T03:04:05Z", "dockerImageReference": format!("{host}/{namespace}/{name}@{image}"), "generation": 1, "image": image}));
                json!({"items": items.collect::<Vec<_>>(), "tag": tag})
            });
            json!({
                "apiVersion": "image.openshift.io/v1",
                "kind": "ImageStream",
                "metadata": {"name": name, "namespace": namespace, "resourceVersion": "2"},
                "spec": {"lookupPolicy": {"local": false}},
                "status": {"dockerImageRepository": format!("{host}/{namespace}/{name}"), "tags": tags.collect::<Vec<_>>()},
            })
        });
        let write = |name: &str, list: &Value| {
            let text = serde_json::to_string_pretty(list).unwrap() + "\n";
            fs::write(self.registry.beside().join(name), text).unwrap();
        };
        write("images.json", &list(images.collect()));
        write("streams.json", &list(streams.collect()));
    }

    /// The commands of regsql below a heading of docs/openshift.md, for this storage and registry.
    fn documented(&self, heading: &str, more: &[&str]) -> Vec<Vec<String>> {
        let page = include_str!("../../../docs/openshift.md");
        let block = block(page, heading, "sh").replace("\\\n", " ");
        let lines = block.lines().filter_map(|line| line.strip_prefix("regsql "));
        let commands = lines.map(|line| {
            let line = line
                .replace(
                    "http://image-registry:5000",
                    &format!("http://{}", self.registry.address()),
                )
                .replace(" /registry ", &format!(" {} ", self.registry.root().display()));
            let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            if words[0] == "prune" {
                // What a test makes is young, and most of it goes.
                words.extend(["--min-age=0s", "--max-delete-percent=100"].map(str::to_owned));
                words.extend(more.iter().map(|word| (*word).to_owned()));
            }
            words
        });
        commands.collect()
    }

    /// Repositories on disk with the digests of their revisions.
    fn revisions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let top = self.registry.root().join("docker/registry/v2/repositories");
        let names = |path: PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let mut found = BTreeMap::new();
        for namespace in names(top.clone()) {
            for name in names(top.join(&namespace)) {
                let below = top.join(&namespace).join(&name).join("_manifests/revisions/sha256");
                let digests = names(below).iter().map(|hex| format!("sha256:{hex}")).collect();
                found.insert(format!("{namespace}/{name}"), digests);
            }
        }
        found
    }
}

/// What the registry's own hard prune takes, as its source documents it: of repositories those without a stream; of
/// revision links those whose image is gone or not in the stream; of blobs those that are no image's manifest, config
/// or layer.
#[derive(Debug, Default, PartialEq, Eq)]
struct HardPrune {
    repositories: BTreeSet<String>,
    revisions: BTreeSet<(String, String)>,
    blobs: BTreeSet<String>,
    bytes: u64,
}

fn hard_prune(cluster: &Cluster) -> HardPrune {
    let mut pruned = HardPrune::default();
    let in_use: BTreeSet<String> = cluster.images.values().flat_map(Image::all_digests).collect();
    for (repository, revisions) in cluster.revisions() {
        let stream = cluster.streams.get(&repository);
        let is_served = |digest: &String| {
            let items = stream.iter().flat_map(|tags| tags.values()).flatten();
            cluster.images.contains_key(digest) && items.into_iter().any(|item| item == digest)
        };
        let gone = revisions.iter().filter(|digest| !is_served(digest));
        pruned.revisions.extend(gone.map(|digest| (repository.clone(), digest.clone())));
        if stream.is_none() {
            pruned.repositories.insert(repository);
        }
    }
    for (digest, size) in blobs(&cluster.registry.root()) {
        if !in_use.contains(&digest) {
            pruned.blobs.insert(digest);
            pruned.bytes += size;
        }
    }
    pruned
}

/// What a plan of regsql takes.
fn planned(document: &Value) -> HardPrune {
    let mut plan =
        HardPrune { bytes: document["freed_bytes"].as_u64().unwrap(), ..HardPrune::default() };
    for item in document["items"].as_array().unwrap() {
        let text = |key: &str| item[key].as_str().unwrap().to_owned();
        match item["kind"].as_str().unwrap() {
            "revision" => {
                plan.revisions.insert((text("repository"), text("manifest_digest")));
            }
            "blob" => {
                plan.blobs.insert(text("blob_digest"));
            }
            "repository" => {
                plan.repositories.insert(text("repository"));
            }
            _ => {}
        }
    }
    plan
}

fn image(name: &str, size: usize) -> Image {
    Image::of(&[&layer("base", 50_000), &layer(name, size)])
}

/// Live images, and all ways in which a storage comes to hold what etcd does not know.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    let versions: Vec<Image> = (0..4).map(|at| image(&format!("app {at}"), 30_000 + at)).collect();
    for version in &versions {
        cluster.push("a/app", "latest", version);
    }
    // Trimmed from its stream, and its image deleted: `oc adm prune images` without the registry.
    cluster.streams.get_mut("a/app").unwrap().get_mut("latest").unwrap().pop();
    cluster.images.remove(&versions[0].digest());
    // Trimmed here, and in use in another stream, which has no repository on disk.
    cluster.streams.get_mut("a/app").unwrap().get_mut("latest").unwrap().pop();
    cluster.tag("b/web", "prod", &versions[1]);
    // Its stream is gone: one image lives on in another one, the other is gone too.
    let (shared, gone) = (image("shared", 4_000), image("gone", 90_000));
    cluster.push("c/old", "1", &shared);
    cluster.push("c/old", "2", &gone);
    cluster.tag("b/web", "old", &shared);
    cluster.streams.remove("c/old");
    cluster.images.remove(&gone.digest());
    // Several platforms, and the schema that Docker pushes.
    let platforms = ["amd64", "arm64"].map(|architecture| {
        Image::for_platform(("linux", architecture), &[&layer(architecture, 7_000)])
    });
    cluster.push("d/multi", "1", &Image::index(platforms.to_vec()));
    for child in &platforms {
        cluster.tag("d/multi", "platforms", child);
    }
    cluster.push("d/docker", "1", &pushes::schema2(&[&layer("docker", 2_000)], None));
    // A push that ended before its manifest.
    cluster.registry.put_blob("d/failed", &layer("failed", 60_000));
    cluster
}

#[test]
fn a_hard_prune_takes_what_the_registrys_own_takes_and_the_registry_serves_the_rest() {
    let mut cluster = cluster();
    cluster.export();
    let live: Vec<Image> = cluster.images.values().cloned().collect();
    let root = cluster.registry.root().display().to_string();
    // Without the objects nothing is judged.
    stdout(&cluster.registry, &["scan", &root]);
    let careless = [
        "prune",
        "untagged-revisions",
        "--garbage",
        "--min-age=0s",
        "--offline",
        "--max-delete-percent=100",
    ];
    let (code, said) = run(&cluster.registry, &[&careless[..], &["--delete", "--yes"]].concat());
    assert!(code == 2 && said.contains("cannot be judged"), "{said}");
    assert_eq!(broken(&cluster.registry, &live), 0);

    let wanted = hard_prune(&cluster);
    assert!(wanted.blobs.len() >= 6 && wanted.bytes > 1_000, "{wanted:?}");
    for words in cluster.documented("## Read what etcd holds", &[]) {
        stdout(&cluster.registry, &refs(&words));
    }
    let check = cluster.documented("## Check", &["--format=json"]).remove(0);
    let plan = planned(&serde_json::from_str(&stdout(&cluster.registry, &refs(&check))).unwrap());
    assert_eq!(plan.revisions, wanted.revisions);
    assert_eq!((&plan.blobs, plan.bytes), (&wanted.blobs, wanted.bytes));
    // The summary says the same.
    let summary = stdout(&cluster.registry, &refs(&cluster.documented("## Check", &[]).remove(0)));
    let blob_count = format!("Would delete {} blobs", wanted.blobs.len());
    let bytes = format!("Would free {:.3} KiB", wanted.bytes as f64 / 1024.0);
    assert!(summary.contains(&blob_count) && summary.contains(&bytes), "{bytes}: {summary}");

    // A registry that takes pushes is refused.
    let (code, said) = run(&cluster.registry, &refs(&cluster.documented("## Delete", &[])[0]));
    assert!(code == 2 && said.contains("takes pushes"), "{said}");
    cluster.registry.restart_with(|config| {
        let read_only = "  maintenance:\n    readonly:\n      enabled: true\n";
        config.replace("storage:\n", &format!("storage:\n{read_only}"))
    });
    for words in cluster.documented("## Delete", &[]) {
        let (code, said) = run(&cluster.registry, &refs(&words));
        assert_eq!(code, 0, "{words:?}: {said}");
    }
    for repository in cluster.revisions().keys() {
        assert!(!wanted.repositories.contains(repository), "{repository} is there");
    }
    assert_eq!(hard_prune(&cluster), HardPrune::default(), "the registry's own takes no more");
    assert_eq!(broken(&cluster.registry, &live), 0);
    cluster.registry.restart_with(|config| config.replace("enabled: true\n\n", "enabled: false\n"));
    let revisions = cluster.revisions();
    for (stream, tags) in &cluster.streams {
        // What is served without a link needs OpenShift's own registry: there the blobs are what counts.
        let is_linked =
            |digest: &&String| revisions.get(stream).is_some_and(|all| all.contains(*digest));
        for digest in tags.values().flatten().filter(is_linked) {
            skopeo::pull_digest(&cluster.registry, stream, digest);
        }
    }
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn a_purge_asks_the_objects_again() {
    let mut cluster = cluster();
    let back = image("gone", 90_000);
    cluster.export();
    let root = cluster.registry.root().display().to_string();
    let scan = [
        "scan",
        &root,
        "--roots",
        "images.json",
        "--roots",
        "streams.json",
        "--authority",
        "roots",
    ];
    stdout(&cluster.registry, &scan);
    let prune = [
        "prune",
        "untagged-revisions",
        "--garbage",
        "--min-age=0s",
        "--max-delete-percent=100",
        "--offline",
        "--delete",
        "--yes",
    ];
    let (code, said) = run(&cluster.registry, &prune);
    assert_eq!(code, 0, "{said}");
    assert_eq!(broken(&cluster.registry, [&back]), 1);
    // An administrator restores the object from a backup of etcd.
    cluster.images.insert(back.digest(), back.clone());
    cluster.tag("b/web", "back", &back);
    cluster.export();
    let (code, said) = run(&cluster.registry, &["trash", "purge", "--older-than=0s", "--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("stays in the trash: it is needed again"), "{said}");
    // What nothing needs is gone: the layer of the failed push, and the image that was trimmed.
    assert!(said.contains("4 blobs"), "{said}");
    let (code, said) = run(&cluster.registry, &["undo"]);
    // What was purged is said to be gone.
    assert_eq!((code, broken(&cluster.registry, [&back])), (1, 0), "{said}");
}

#[test]
fn images_without_their_streams_keep_every_link() {
    let cluster = cluster();
    cluster.export();
    let root = cluster.registry.root().display().to_string();
    stdout(&cluster.registry, &["scan", &root, "--roots", "images.json", "--authority", "roots"]);
    let text = stdout(
        &cluster.registry,
        &[
            "prune",
            "untagged-revisions",
            "--garbage",
            "--min-age=0s",
            "--max-delete-percent=100",
            "-f",
            "json",
        ],
    );
    let plan = planned(&serde_json::from_str(&text).unwrap());
    let wanted = hard_prune(&cluster);
    assert_eq!(plan.blobs, wanted.blobs);
    let live = |(_, digest): &&(String, String)| cluster.images.contains_key(digest);
    assert_eq!(plan.revisions.iter().filter(live).count(), 0);
}
