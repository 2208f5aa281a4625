//! What a registry holds and what deleting parts of it would free, without any cleverness.

use std::collections::{BTreeMap, BTreeSet};

use regsql::sample::{Content, Tree};
use serde_json::Value;

use super::Figures;

pub type Set = BTreeSet<String>;

/// A registry as a reader of its files would note it down.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Blobs on disk with their sizes.
    pub present: BTreeMap<String, u64>,
    /// Manifests on disk, by digest.
    pub manifests: BTreeMap<String, Manifest>,
    pub repositories: BTreeMap<String, Repository>,
}

#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Config and layers, and what an index names that is no manifest.
    pub blobs: Set,
    pub children: Set,
    subject: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Repository {
    pub revisions: Set,
    pub tags: BTreeMap<String, String>,
}

impl Model {
    pub fn of(tree: &Tree) -> Self {
        let mut model = Self::default();
        let mut aliases = BTreeMap::new();
        for (path, entry) in tree.iter() {
            let path = path.strip_prefix("docker/registry/v2/").unwrap();
            let parts: Vec<&str> = path.split('/').collect();
            if let ["blobs", "sha256", _, hex, "data"] = parts[..] {
                let digest = format!("sha256:{hex}");
                model.present.insert(digest.clone(), entry.size().unwrap());
                if let Some(manifest) = manifest(&entry.content) {
                    model.manifests.insert(digest, manifest);
                }
            } else if let Some(("repositories", rest)) = path.split_once('/') {
                let (name, inside) = rest.split_once("/_").unwrap();
                let repository = model.repositories.entry(name.to_owned()).or_default();
                let inside: Vec<&str> = inside.split('/').collect();
                match inside[..] {
                    ["manifests", "revisions", "sha256", hex, "link"] => {
                        repository.revisions.insert(format!("sha256:{hex}"));
                    }
                    ["manifests", "tags", tag, "current", "link"] => {
                        let Content::Bytes(link) = &entry.content else {
                            panic!("{path} is no file");
                        };
                        let target = String::from_utf8(link.clone()).unwrap();
                        repository.tags.insert(tag.to_owned(), target);
                    }
                    ["layers", "sha512", hex, "link"] => {
                        let Content::Bytes(link) = &entry.content else {
                            panic!("{path} is no file");
                        };
                        let target = String::from_utf8(link.clone()).unwrap();
                        aliases.insert(format!("sha512:{hex}"), target);
                    }
                    _ => {}
                }
            }
        }
        for manifest in model.manifests.values_mut() {
            let named = manifest.blobs.iter().filter_map(|name| aliases.get(name).cloned());
            let named: Vec<String> = named.collect();
            manifest.blobs.extend(named);
        }
        // A child that is no manifest is a blob (BuildKit cache).
        let known: Set = model.manifests.keys().cloned().collect();
        for manifest in model.manifests.values_mut() {
            let others: Vec<String> = manifest.children.difference(&known).cloned().collect();
            manifest.blobs.extend(others);
        }
        model
    }

    pub fn orphans(&self) -> Set {
        let reached = self.reached();
        let present = self.present.keys().cloned();
        present.filter(|blob| !reached.contains(blob)).collect()
    }

    /// Logical, exclusive and untagged bytes, and untagged revisions.
    pub fn repositories(&self) -> Figures {
        let mut figures = Figures::new();
        for (name, repository) in &self.repositories {
            let mut without = self.clone();
            without.repositories.insert(name.clone(), Repository::default());

            let tagged = self.tagged(name);
            let untagged: Set = repository.revisions.difference(&tagged).cloned().collect();
            let mut only_tagged = self.clone();
            only_tagged.delete_revisions(name, &untagged);

            figures.insert(
                (name.clone(), String::new(), String::new()),
                [
                    self.bytes(&self.blobs(&self.kept(name))),
                    self.freed(&without),
                    self.freed(&only_tagged),
                    untagged.len() as u64,
                ],
            );
        }
        figures
    }

    /// Logical and exclusive bytes, and 1 when tagged.
    pub fn revisions(&self) -> Figures {
        let mut figures = Figures::new();
        for (name, repository) in &self.repositories {
            let tagged = self.tagged(name);
            for revision in &repository.revisions {
                let mut without = self.clone();
                without.repository(name).tags.retain(|_, target| target != revision);
                without.delete_through(name, revision);
                figures.insert(
                    (name.clone(), revision.clone(), String::new()),
                    [
                        self.logical_bytes(name, revision),
                        self.freed(&without),
                        u64::from(tagged.contains(revision)),
                        0,
                    ],
                );
            }
        }
        figures
    }

    /// Logical and exclusive bytes.
    pub fn tags(&self) -> Figures {
        let mut figures = Figures::new();
        for (name, repository) in &self.repositories {
            for (tag, target) in &repository.tags {
                let mut without = self.clone();
                without.repository(name).tags.remove(tag);
                without.delete_through(name, target);
                figures.insert(
                    (name.clone(), tag.clone(), target.clone()),
                    [self.logical_bytes(name, target), self.freed(&without), 0, 0],
                );
            }
        }
        figures
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.get_mut(name).unwrap()
    }

    /// Deletes the revisions reached from `top` that neither a tag nor a revision outside reaches.
    fn delete_through(&mut self, name: &str, top: &str) {
        let through = self.closure(name, [top.to_owned()].into());
        let repository = &self.repositories[name];
        let tags = repository.tags.values().cloned();
        let outside = repository.revisions.difference(&through).cloned();
        let kept = self.closure(name, tags.chain(outside).collect());
        let deleted: Set = through.difference(&kept).cloned().collect();
        self.delete_revisions(name, &deleted);
    }

    fn delete_revisions(&mut self, name: &str, deleted: &Set) {
        let revisions = &mut self.repository(name).revisions;
        revisions.retain(|revision| !deleted.contains(revision));
    }

    /// Manifests reached through index children, and through referrers linked in the repository.
    pub fn closure(&self, name: &str, mut reached: Set) -> Set {
        let repository = &self.repositories[name];
        loop {
            let mut more = Set::new();
            for digest in &reached {
                if let Some(manifest) = self.manifests.get(digest) {
                    more.extend(manifest.children.iter().cloned());
                }
            }
            for revision in &repository.revisions {
                let subject =
                    self.manifests.get(revision).and_then(|manifest| manifest.subject.as_ref());
                if subject.is_some_and(|subject| reached.contains(subject)) {
                    more.insert(revision.clone());
                }
            }
            let before = reached.len();
            reached.extend(more);
            if reached.len() == before {
                return reached;
            }
        }
    }

    fn tagged(&self, name: &str) -> Set {
        let targets = self.repositories[name].tags.values().cloned().collect();
        self.closure(name, targets)
    }

    pub fn kept(&self, name: &str) -> Set {
        let repository = &self.repositories[name];
        let tags = repository.tags.values().cloned();
        self.closure(name, tags.chain(repository.revisions.iter().cloned()).collect())
    }

    /// Manifests with all the blobs they name, as far as they are on disk.
    pub fn blobs(&self, manifests: &Set) -> Set {
        let mut blobs = manifests.clone();
        for digest in manifests {
            if let Some(manifest) = self.manifests.get(digest) {
                blobs.extend(manifest.blobs.iter().cloned());
            }
        }
        blobs.retain(|blob| self.present.contains_key(blob));
        blobs
    }

    pub fn reached(&self) -> Set {
        let names = self.repositories.keys();
        names.flat_map(|name| self.blobs(&self.kept(name))).collect()
    }

    fn bytes(&self, blobs: &Set) -> u64 {
        blobs.iter().map(|blob| self.present[blob]).sum()
    }

    fn logical_bytes(&self, name: &str, top: &str) -> u64 {
        let manifests = self.closure(name, [top.to_owned()].into());
        self.bytes(&self.blobs(&manifests))
    }

    /// Bytes reached now and no longer reached `without` something.
    fn freed(&self, without: &Self) -> u64 {
        let still = without.reached();
        let freed: Set = self.reached().difference(&still).cloned().collect();
        self.bytes(&freed)
    }
}

/// Reads a manifest; `None` for anything else.
fn manifest(content: &Content) -> Option<Manifest> {
    let Content::Bytes(bytes) = content else {
        return None;
    };
    let json: Value = serde_json::from_slice(bytes).ok()?;
    json.get("schemaVersion")?;
    let digests = |field: &str| -> Set {
        let list = json[field].as_array().cloned().unwrap_or_default();
        list.iter().map(|item| text(&item["digest"])).collect()
    };
    let mut blobs = digests("layers");
    if json.get("config").is_some() {
        blobs.insert(text(&json["config"]["digest"]));
    }
    Some(Manifest {
        blobs,
        children: digests("manifests"),
        subject: json.get("subject").map(|subject| text(&subject["digest"])),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
