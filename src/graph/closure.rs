//! What a set of manifests leads to: an iterative walk with a visited set, because indexes nest to
//! any depth and a hostile one may name itself through its subject.

use super::{BlobId, Graph, ManifestId};
use crate::model::Role;

/// Reusable space for walks over one graph.
pub struct Closure {
    /// The walk in which a manifest was last met.
    met_in: Vec<u32>,
    walk: u32,
    found: Vec<ManifestId>,
}

impl Closure {
    /// Space for walks over `graph`.
    pub fn new(graph: &Graph) -> Self {
        Self { met_in: vec![0; graph.manifests.len()], walk: 0, found: Vec::new() }
    }

    /// Every manifest that `starts` lead to, each once: through references other than subjects,
    /// aliases, and referrers for which `counts_referrer` holds.
    pub fn of(
        &mut self,
        graph: &Graph,
        starts: impl IntoIterator<Item = BlobId>,
        counts_referrer: impl Fn(BlobId) -> bool,
    ) -> &[ManifestId] {
        self.walk += 1;
        self.found.clear();
        for start in starts {
            self.meet(graph, start);
        }
        let mut next = 0;
        while let Some(&id) = self.found.get(next) {
            next += 1;
            for_each_child(graph, id, &counts_referrer, |child| self.meet(graph, child));
        }
        &self.found
    }

    fn meet(&mut self, graph: &Graph, blob: BlobId) {
        if let Some(id) = graph.manifest_at(blob)
            && self.met_in[id as usize] != self.walk
        {
            self.met_in[id as usize] = self.walk;
            self.found.push(id);
        }
    }
}

/// Blobs that a manifest directly leads to and that may be manifests.
pub fn for_each_child(
    graph: &Graph,
    id: ManifestId,
    counts_referrer: impl Fn(BlobId) -> bool,
    mut visit: impl FnMut(BlobId),
) {
    let manifest = &graph.manifests[id as usize];
    for_each_alias(graph, manifest.blob, &mut visit);
    for reference in manifest.references() {
        match reference.role {
            Role::Subject | Role::Config | Role::Layer => {}
            Role::Manifest | Role::Blob => {
                visit(reference.blob);
                for_each_alias(graph, reference.blob, &mut visit);
            }
        }
    }
    for &referrer in graph.referrers.get(&manifest.blob).into_iter().flatten() {
        let blob = graph.manifests[referrer as usize].blob;
        if counts_referrer(blob) {
            visit(blob);
        }
    }
}

/// Blobs that a manifest keeps besides the manifests among its children: itself, config, layers,
/// and what the registry resolves them to.
pub fn for_each_kept_blob(graph: &Graph, id: ManifestId, mut visit: impl FnMut(BlobId)) {
    let manifest = &graph.manifests[id as usize];
    visit(manifest.blob);
    for_each_alias(graph, manifest.blob, &mut visit);
    for reference in
        manifest.references().iter().filter(|reference| reference.role != Role::Subject)
    {
        let is_child = matches!(reference.role, Role::Manifest | Role::Blob)
            && graph.manifest_at(reference.blob).is_some();
        if !is_child {
            visit(reference.blob);
            for_each_alias(graph, reference.blob, &mut visit);
        }
    }
}

/// What the registry resolves a digest to; an alias of an alias is not resolved further.
fn for_each_alias(graph: &Graph, blob: BlobId, visit: &mut impl FnMut(BlobId)) {
    if graph.aliases.is_empty() {
        return;
    }
    graph.aliases.get(&blob).into_iter().flatten().for_each(|target| visit(*target));
}
