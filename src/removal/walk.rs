//! Walks within one repository, and marks that need no clearing.

use super::graph::{RepositoryNode, StoredGraph};
use crate::graph::{BlobId, ManifestId};

/// Marks that need no clearing between uses.
pub struct Marks {
    marked_in: Vec<u32>,
    round: u32,
}

impl Marks {
    /// So many, none of them set.
    pub fn new(length: usize) -> Self {
        Self { marked_in: vec![0; length], round: 1 }
    }

    /// Takes all marks away.
    pub fn clear(&mut self) {
        self.round += 1;
    }

    /// Whether it was not marked before.
    pub fn mark(&mut self, at: u32) -> bool {
        std::mem::replace(&mut self.marked_in[at as usize], self.round) != self.round
    }

    /// Whether it is marked.
    pub fn has(&self, at: u32) -> bool {
        self.marked_in[at as usize] == self.round
    }
}

/// What led a walk to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The walk began there.
    Start,
    /// An index, or another manifest that names it.
    Parent(ManifestId),
    /// It is about this manifest.
    Subject(ManifestId),
}

/// The manifests that a walk has met.
pub struct Walk {
    met: Marks,
    via: Vec<Via>,
    found: Vec<ManifestId>,
}

impl Walk {
    /// Space for walks over `graph`.
    pub fn new(graph: &StoredGraph) -> Self {
        let length = graph.manifests.len();
        Self { met: Marks::new(length), via: vec![Via::Start; length], found: Vec::new() }
    }

    /// Meets every manifest that `starts` lead to: through what they name, aliases, and referrers
    /// that `repository` links. What earlier walks met is forgotten.
    pub fn go(
        &mut self,
        graph: &StoredGraph,
        repository: &RepositoryNode,
        starts: impl IntoIterator<Item = BlobId>,
    ) {
        self.met.clear();
        self.found.clear();
        for start in starts {
            if let Some(id) = graph.manifest_at(start) {
                self.meet(id, Via::Start);
            }
        }
        let mut next = 0;
        while let Some(&id) = self.found.get(next) {
            next += 1;
            for &child in graph.children(id) {
                self.meet(child, Via::Parent(id));
            }
            for referrer in graph.referrers(id) {
                if graph.is_revision(repository, referrer) {
                    self.meet(referrer, Via::Subject(id));
                }
            }
        }
    }

    fn meet(&mut self, id: ManifestId, via: Via) {
        if self.met.mark(id) {
            self.via[id as usize] = via;
            self.found.push(id);
        }
    }

    /// Every manifest met, each once.
    pub fn found(&self) -> &[ManifestId] {
        &self.found
    }

    /// Whether it was met.
    pub fn has(&self, id: ManifestId) -> bool {
        self.met.has(id)
    }

    /// What led to it.
    pub fn via(&self, id: ManifestId) -> Via {
        self.via[id as usize]
    }
}
