//! What is kept because something cannot be read: which holds, how far each reaches, and why. What a
//! hold keeps is worked out by the graph.
//!
//! A hold that falls back on what a repository links is only as good as those links: where `_layers`
//! is missing, empty, or lacks a link that a readable manifest of the repository needs, the hold
//! widens to the whole storage.

use std::collections::BTreeSet;

use super::verdict::{Missing, is_revision, missing};
use super::{BlobId, Catalog, CatalogManifest, CatalogRepository, UnreadableRoot};
use crate::graph::{Graph, ManifestId, Walk};
use crate::model::{Code, Digest, HoldScope, Role, text_of};
use crate::scan::{Hold, Notes};

/// What is kept, and what else a digest may stand for.
#[derive(Default)]
pub struct Found {
    /// The holds.
    pub roots: Vec<UnreadableRoot>,
    /// Further targets of aliases: which one is meant is not known.
    pub aliases: BTreeSet<(BlobId, BlobId)>,
}

/// Collects the holds of all repositories.
pub fn find_holds(catalog: &Catalog, graph: &Graph, notes: &Notes) -> Found {
    let mut found = Found::default();
    found.roots.extend(notes.holds.iter().map(|hold| of_hold(hold, None)));
    let mut walk = Walk::new(graph);
    for (place, repository) in (0..).zip(&catalog.repositories) {
        let starts = repository.revisions.iter().map(|revision| revision.name);
        let starts = starts.chain(repository.tags.iter().filter_map(|tag| tag.target));
        let unreadable = repository.tags.iter().filter(|tag| tag.is_unreadable);
        let entries = unreadable.flat_map(|tag| &tag.entries).map(|entry| entry.name);
        // What an index names and is not linked is no fault: other platforms are often left out.
        walk.go(graph, None, starts.chain(entries));
        Collector { catalog, repository, place, nodes: walk.found(), found: &mut found }.collect();
    }
    found
}

fn of_hold(hold: &Hold, repository: Option<u32>) -> UnreadableRoot {
    UnreadableRoot {
        scope: hold.scope,
        repository,
        blob: None,
        code: hold.code,
        path: hold.path.clone(),
    }
}

struct Collector<'a> {
    catalog: &'a Catalog,
    repository: &'a CatalogRepository,
    place: u32,
    /// The manifests that it leads to.
    nodes: &'a [ManifestId],
    found: &'a mut Found,
}

impl Collector<'_> {
    fn collect(mut self) {
        let first = self.found.roots.len();
        let repository = self.repository;
        let holds = repository.facts.notes.holds.iter();
        self.found.roots.extend(holds.map(|hold| of_hold(hold, Some(self.place))));
        // A registry makes `revisions` with the first manifest and never removes it.
        if repository.facts.has_manifests && !repository.facts.has_revisions {
            let path = text_of(repository.facts.path.join("_manifests/revisions").as_os_str());
            self.hold(HoldScope::Manifests, Code::RevisionsDirectoryMissing, path);
        }
        for revision in repository.revisions.iter().filter(|revision| revision.is_doubtful) {
            self.hold_blob(revision.name, Code::LinkMismatch, "_manifests/revisions");
        }
        self.layer_links();
        for tag in repository.tags.iter().filter(|tag| tag.is_unreadable) {
            for entry in &tag.entries {
                self.hold_blob(entry.name, Code::TagLinkUnreadable, "_manifests/tags");
            }
        }
        self.faulty_manifests();
        self.aliases();
        // A body that is whole names nothing but what stands in it.
        let is_whole = |code| matches!(code, Code::ManifestTypeUnknown | Code::ReferenceInvalid);
        let falls_back = self.found.roots[first..].iter().any(|root| {
            matches!(root.scope, HoldScope::Manifests | HoldScope::Repository)
                && !is_whole(root.code)
        });
        if falls_back && let Some(code) = self.why_links_are_unknown() {
            let path = text_of(repository.facts.path.join("_layers").as_os_str());
            self.hold(HoldScope::Storage, code, path);
        }
    }

    /// The manifests that the repository serves.
    fn revisions(&self) -> impl Iterator<Item = &CatalogManifest> {
        let manifests = self.nodes.iter().map(|node| &self.catalog.manifests[*node as usize]);
        manifests.filter(|manifest| is_revision(self.repository, manifest.blob))
    }

    fn hold(&mut self, scope: HoldScope, code: Code, path: String) {
        let repository = Some(self.place);
        self.found.roots.push(UnreadableRoot { scope, repository, blob: None, code, path });
    }

    fn hold_blob(&mut self, blob: BlobId, code: Code, below: &str) {
        let path = text_of(self.repository.facts.path.join(below).as_os_str());
        let (scope, repository) = (HoldScope::Blob, Some(self.place));
        self.found.roots.push(UnreadableRoot { scope, repository, blob: Some(blob), code, path });
    }

    fn layer_links(&mut self) {
        for link in self.repository.layer_links.iter().filter(|link| link.is_doubtful) {
            let is_elsewhere = link.target != link.name;
            let code = if is_elsewhere { Code::LinkMismatch } else { Code::LayerLinkUnreadable };
            match self.catalog.digests[link.name as usize] {
                // Its directory names the blob, whatever the link says.
                Digest::Sha256(_) => {
                    self.hold_blob(link.name, code, "_layers");
                    if is_elsewhere {
                        self.hold_blob(link.target, code, "_layers");
                    }
                }
                // It stands for one of the blobs that the repository links.
                Digest::Other(_) => {
                    let path = self.repository.facts.path.join("_layers");
                    self.hold(HoldScope::Repository, code, text_of(path.as_os_str()));
                }
            }
        }
    }

    /// Manifests that cannot be relied on may name anything that the repository links.
    fn faulty_manifests(&mut self) {
        let mut faulty: Vec<(Code, BlobId)> = Vec::new();
        for node in self.nodes {
            let manifest = &self.catalog.manifests[*node as usize];
            // In a pull-through cache a manifest may be absent until it is asked for.
            let is_normal = |code| self.catalog.is_pull_through && code == Code::ManifestMissing;
            if let Some((code, _)) = &manifest.fault
                && !is_normal(*code)
            {
                faulty.push((*code, manifest.blob));
            }
        }
        faulty.sort_unstable();
        for (code, blob) in faulty {
            self.hold(HoldScope::Repository, code, blob_path(self.catalog, blob));
        }
    }

    /// A layer that a manifest names by another algorithm than sha256 is found through a link of
    /// the repository alone. The blob itself is linked there, too, by its sha256 name (distribution
    /// `blobwriter.go`). Where the link is missing, damaged or leads to a blob of another size than
    /// declared, any of those may be meant; else any of that size, besides the one it leads to.
    fn aliases(&mut self) {
        let mut is_unresolved = None;
        let references = self.revisions().flat_map(|manifest| {
            manifest.references().iter().filter(|reference| {
                !reference.is_external
                    && matches!(reference.role, Role::Config | Role::Layer | Role::Blob)
                    && matches!(self.catalog.digests[reference.blob as usize], Digest::Other(_))
            })
        });
        let links = &self.repository.layer_links;
        let size_of = |blob: BlobId| self.catalog.files[blob as usize].map(|file| file.size_bytes);
        let is_canonical =
            |blob: BlobId| matches!(self.catalog.digests[blob as usize], Digest::Sha256(_));
        let mut others_of = BTreeSet::new();
        for reference in references {
            // Its own link, or where it has none any other repository's: the name is of the content.
            let own = links.binary_search_by_key(&reference.blob, |link| link.name).ok();
            let targets: Vec<BlobId> = match own.map(|at| links[at]) {
                Some(link) if link.is_doubtful => Vec::new(),
                Some(link) => vec![link.target],
                None => self.catalog.aliases.get(&reference.blob).cloned().unwrap_or_default(),
            };
            let declared = reference.declared_bytes.get();
            let is_right = |target: &&BlobId| {
                is_canonical(**target) && declared.is_some() && size_of(**target) == declared
            };
            if targets.iter().find(is_right).is_none() {
                is_unresolved = is_unresolved.or(Some(reference.blob));
                continue;
            }
            let alike = links.iter().map(|link| link.name);
            let alike = alike.filter(|name| is_canonical(*name) && size_of(*name) == declared);
            let others = alike.filter(|name| !targets.contains(name));
            others_of.extend(others.map(|name| (reference.blob, name)));
        }
        self.found.aliases.append(&mut others_of);
        if let Some(blob) = is_unresolved.filter(|_| !self.catalog.is_pull_through) {
            let path = blob_path(self.catalog, blob);
            self.hold(HoldScope::Repository, Code::LayerLinkMissing, path);
        }
    }

    /// Why something that its manifests name may not be among its layer links.
    fn why_links_are_unknown(&self) -> Option<Code> {
        if self.catalog.is_pull_through {
            return None;
        }
        if self.repository.layer_links.is_empty() {
            return Some(Code::LayersDirectoryMissing);
        }
        let is_missing = |manifest: &CatalogManifest| {
            let references = manifest.references().iter();
            references
                .filter(|reference| matches!(reference.role, Role::Config | Role::Layer))
                .any(|named| missing(self.catalog, self.repository, named) == Some(Missing::Link))
        };
        self.revisions().any(is_missing).then_some(Code::LayerLinkMissing)
    }
}

/// Where a blob lies or ought to lie; the digest itself when no path can name it.
pub fn blob_path(catalog: &Catalog, blob: BlobId) -> String {
    match &catalog.digests[blob as usize] {
        digest @ Digest::Sha256(_) => {
            text_of(catalog.layout.blob_data(&digest.encoded()).as_os_str())
        }
        Digest::Other(text) => text.to_string(),
    }
}
