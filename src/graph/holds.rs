//! What is kept whatever tags and revisions say: because something cannot be read, or because
//! somebody outside of the storage refers to it. The one rule: in doubt, keep, with all that is named.
//!
//! - A repository that cannot be listed may need any blob (scope `storage`).
//! - Revisions that cannot be listed are some of the blobs that may be manifests. A registry takes a
//!   manifest only when its config and layers are linked in the same repository, and an index only
//!   when its children are revisions there (distribution `schema2manifesthandler.go`,
//!   `ocimanifesthandler.go`, `manifestlisthandler.go`): so only what these can be is kept, and all
//!   that the repository links (scope `manifests`). A manifest that is linked in part counts where
//!   no other repository knows it: links may be missing while a repository is copied.
//! - A manifest that is missing or damaged may name anything that its repository links, and any
//!   revision as a child (scope `repository`).
//! - Whoever sets the scopes widens to the storage where the links of the repository are not known.

use super::flat::Graph;
use super::parts::{BlobId, Edge, ExternalRoot, Hold, ManifestId, RepositoryNode};
use super::walk::{Marks, Parents, Walk};
use crate::model::{HoldScope, Role};

impl Graph {
    pub(super) fn hold(&mut self, holds: &[Hold], edges: &[Edge], aliases: &[(BlobId, BlobId)]) {
        let mut hidden_in = Vec::new();
        for hold in holds {
            match (hold.scope, hold.repository) {
                (HoldScope::Storage, _) => self.holds.is_storage_held = true,
                (HoldScope::Manifests, Some(place)) => {
                    self.repositories[place as usize].is_held = true;
                    hidden_in.push(place);
                }
                (HoldScope::Repository, Some(place)) => {
                    self.repositories[place as usize].is_held = true;
                }
                (HoldScope::Blob, Some(place)) => {
                    self.repositories[place as usize].held_blobs.extend(hold.blob);
                }
                // Without a repository its links are not known.
                (HoldScope::Manifests | HoldScope::Repository | HoldScope::Blob, None) => {
                    self.holds.is_storage_held = true;
                }
            }
        }
        if !hidden_in.is_empty() {
            self.holds.has_hidden_revisions = true;
            let hidden = self.hidden_revisions(&hidden_in, edges, aliases);
            self.keep_everywhere(&hidden);
        }
    }

    /// Takes over what somebody outside refers to. What is not said to be in a repository is kept
    /// wherever it is a revision, if its revisions are to be kept.
    pub(super) fn take_roots(&mut self, roots: &[ExternalRoot]) {
        let anywhere = || roots.iter().filter(|root| root.repository.is_none());
        for root in roots {
            if let Some(place) = root.repository {
                self.repositories[place as usize].rooted.push(root.blob);
            }
        }
        if anywhere().next().is_none() {
            return;
        }
        let mut is_rooted = vec![false; self.blobs.len()];
        for root in anywhere().filter(|root| root.keeps_revisions) {
            is_rooted[root.blob as usize] = true;
        }
        for place in 0..self.repositories.len() {
            let revisions = self.revisions_of(&self.repositories[place]).iter().copied();
            let rooted: Vec<BlobId> = revisions.filter(|blob| is_rooted[*blob as usize]).collect();
            self.repositories[place].rooted.extend(rooted);
        }
        let blobs: Vec<BlobId> = anywhere().map(|root| root.blob).collect();
        self.keep_everywhere(&blobs);
    }

    fn keep_everywhere(&mut self, starts: &[BlobId]) {
        let mut kept = std::mem::take(&mut self.holds.kept);
        kept.resize(self.blobs.len(), false);
        let mut walk = Walk::new(self);
        walk.go(self, None, starts.iter().copied());
        let manifests = walk.found().iter().flat_map(|id| self.kept_blobs(*id));
        for blob in manifests.chain(starts) {
            kept[*blob as usize] = true;
        }
        self.holds.kept = kept;
    }

    /// Blobs that may be revisions of one of these repositories, whose revisions are not known.
    fn hidden_revisions(
        &self,
        places: &[u32],
        edges: &[Edge],
        aliases: &[(BlobId, BlobId)],
    ) -> Vec<BlobId> {
        let hidden = |place: &u32| &self.repositories[*place as usize];
        let mut linked = Linked::new(self, aliases);
        linked.set(places.iter().map(hidden));
        let mut revisions = Marks::new(self.blobs.len());
        for blob in places.iter().map(hidden).flat_map(|repository| self.revisions_of(repository)) {
            revisions.mark(*blob);
        }
        let mut is_hidden = vec![false; self.manifests.len()];
        let mut partly: Vec<(ManifestId, &[Edge])> = Vec::new();
        let mut of_manifest = edges.chunk_by(|a, b| a.manifest == b.manifest).peekable();
        for (id, blob) in (0..).zip(&self.manifests) {
            let edges = of_manifest.next_if(|edges| edges[0].manifest == *blob).unwrap_or_default();
            let mut children = edges.iter().filter(|edge| edge.role == Role::Manifest).peekable();
            if children.peek().is_some() && !edges.iter().any(is_checked) {
                let is_here = |edge: &Edge| {
                    let is_here = linked.has(edge.blob) || revisions.has(edge.blob);
                    is_here && edge.role != Role::Subject
                };
                let is_absent = |edge: &Edge| self.blobs[edge.blob as usize].size_bytes.is_none();
                is_hidden[id as usize] = edges.iter().any(is_here) || children.all(is_absent);
            } else if linked.has_all(edges) {
                is_hidden[id as usize] = true;
            } else if edges.iter().any(|edge| is_checked(edge) && linked.has(edge.blob)) {
                partly.push((id, edges));
            }
        }
        for id in self.known_nowhere(places, partly, &mut linked) {
            is_hidden[id as usize] = true;
        }
        // An index that names a hidden revision may be one itself.
        let parents = Parents::new(self);
        let mut open: Vec<ManifestId> =
            (0..self.manifests.len() as u32).filter(|id| is_hidden[*id as usize]).collect();
        while let Some(id) = open.pop() {
            for parent in parents.of(id) {
                if !std::mem::replace(&mut is_hidden[parent as usize], true) {
                    open.push(parent);
                }
            }
        }
        let may_be = |blob: &BlobId| {
            let node = &self.blobs[*blob as usize];
            node.size_bytes.is_some()
                && node.may_be_manifest
                && self.manifest_at(*blob).is_none_or(|id| is_hidden[id as usize])
        };
        (0..self.blobs.len() as BlobId).filter(may_be).collect()
    }

    /// Of manifests that a repository in `places` links in part, those that no other repository
    /// leads to or links as a whole: the links may be on their way, as when a copy was interrupted.
    fn known_nowhere(
        &self,
        places: &[u32],
        mut partly: Vec<(ManifestId, &[Edge])>,
        linked: &mut Linked<'_>,
    ) -> Vec<ManifestId> {
        let mut walk = Walk::new(self);
        for (place, repository) in (0..).zip(&self.repositories) {
            if partly.is_empty() {
                break;
            }
            if !places.contains(&place) {
                linked.set([repository]);
                walk.go(self, None, self.named_starts(repository));
                partly.retain(|(id, edges)| !walk.has(*id) && !linked.has_all(edges));
            }
        }
        partly.into_iter().map(|(id, _)| id).collect()
    }
}

/// Whether a registry takes a manifest only when what this names is linked in the same repository.
fn is_checked(edge: &Edge) -> bool {
    matches!(edge.role, Role::Config | Role::Layer) && !edge.is_external
}

/// What some repositories link.
struct Linked<'g> {
    graph: &'g Graph,
    aliases: &'g [(BlobId, BlobId)],
    marks: Marks,
}

impl<'g> Linked<'g> {
    fn new(graph: &'g Graph, aliases: &'g [(BlobId, BlobId)]) -> Self {
        Self { graph, aliases, marks: Marks::new(graph.blobs.len()) }
    }

    fn set<'r>(&mut self, repositories: impl IntoIterator<Item = &'r RepositoryNode>) {
        self.marks.clear();
        for repository in repositories {
            for link in self.graph.links_of(repository) {
                self.marks.mark(link.name);
                self.marks.mark(link.target);
            }
        }
        // A registry follows one link: what stands for another alias is linked by nothing here.
        let is_linked = |(_, target): &&(BlobId, BlobId)| self.marks.has(*target);
        let names: Vec<BlobId> =
            self.aliases.iter().filter(is_linked).map(|alias| alias.0).collect();
        for name in names {
            self.marks.mark(name);
        }
    }

    fn has(&self, blob: BlobId) -> bool {
        self.marks.has(blob)
    }

    fn has_all(&self, edges: &[Edge]) -> bool {
        edges.iter().filter(|edge| is_checked(edge)).all(|edge| self.has(edge.blob))
    }
}
