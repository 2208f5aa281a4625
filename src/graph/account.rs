//! Logical and exclusive bytes of everything, in one pass over the edges.
//!
//! *Logical* bytes of X are the distinct present blobs that X reaches. A tag and a revision also
//! reach the referrers of what they reach that are linked in the same repository: those go when
//! their subject goes, so that exclusive bytes are always part of the logical ones.
//!
//! *Exclusive* bytes of X are what deleting X frees. Instead of deleting each X in turn, every blob
//! gets an owner for each kind of X: nobody, one X, or many. A manifest passes its owner on to what
//! it keeps; two different owners make many. Bytes with one owner are exclusive to it. One pass
//! serves all repositories, tags and revisions, and costs as much as reading the references once.
//!
//! What owns a manifest in its repository:
//! - as a **tag**: the one tag that reaches it. Two tags on one digest own nothing: neither frees it
//!   alone. A manifest that an untagged revision reaches is pinned by it and has no tag as owner.
//! - as a **revision**: the one revision on top of it, that is, one that no other revision reaches.
//!   A tag on something below the top pins what it points at.
//! - as **untagged**: its repository, if no tag and nothing unreadable reaches it.
//!
//! What is held because something cannot be read has many owners, so it is nobody's to free.

use crate::model::{ManifestKind, Role};

use super::closure::{Closure, for_each_child, for_each_kept_blob};
use super::{BlobId, Graph, GraphRepository, ManifestId};

/// Owner of what nothing reaches.
const NOBODY: u32 = u32::MAX;
/// Owner of what several reach.
const MANY: u32 = u32::MAX - 1;

/// Figures for a whole graph; every list has the graph's order.
pub struct Accounts {
    /// One for each blob.
    pub blobs: Vec<BlobAccount>,
    /// Distinct present bytes that each manifest reaches, without referrers.
    pub manifest_logical_bytes: Vec<u64>,
    /// One for each repository.
    pub repositories: Vec<RepositoryAccount>,
    /// Bytes that deleting all untagged revisions of all repositories together frees.
    pub untagged_bytes: u64,
    /// Bytes of orphan blobs.
    pub orphan_bytes: u64,
    /// How many there are.
    pub orphan_count: u64,
}

/// Figures for a blob.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlobAccount {
    /// Manifests that name it and are no orphans.
    pub manifest_count: u32,
    /// Repositories that reach it.
    pub repository_count: u32,
    /// Tags that reach it.
    pub tag_count: u32,
    /// The one repository that reaches it.
    pub only_repository: Option<u32>,
    /// The one tag whose deletion frees it, counted through all repositories.
    pub only_tag: Option<u32>,
    /// Present, and nothing that is kept reaches it.
    pub is_orphan: bool,
}

/// Figures for a repository.
#[derive(Clone, Debug, Default)]
pub struct RepositoryAccount {
    /// Distinct present bytes that it reaches.
    pub logical_bytes: u64,
    /// Of those, reached by no other repository.
    pub exclusive_bytes: u64,
    /// Bytes that deleting its untagged revisions frees.
    pub untagged_bytes: u64,
    /// In the order of its revisions.
    pub revisions: Vec<RevisionAccount>,
    /// In the order of its tags.
    pub tags: Vec<TagAccount>,
    /// Whether something kept in it reaches what a link leads to, in the order of its links.
    pub link_is_needed: Vec<bool>,
}

/// Figures for a revision.
#[derive(Clone, Copy, Debug, Default)]
pub struct RevisionAccount {
    /// A tag leads to it.
    pub is_tagged: bool,
    /// No tag leads to it, and it is kept because something cannot be read.
    pub is_held: bool,
    /// Distinct present bytes that it reaches.
    pub logical_bytes: u64,
    /// Bytes that deleting it, its tags and what they leave unreferenced frees.
    pub exclusive_bytes: u64,
}

/// Figures for a tag.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagAccount {
    /// Distinct present bytes that it reaches.
    pub logical_bytes: u64,
    /// Bytes that deleting it alone frees.
    pub exclusive_bytes: u64,
    /// Distinct layers that it reaches.
    pub layer_count: u32,
    /// It cannot be pulled whole.
    pub is_broken: bool,
}

/// For each blob, who would free it, by kind of deletion.
struct Owners {
    repository: Vec<u32>,
    tag: Vec<u32>,
    revision: Vec<u32>,
    untagged: Vec<u32>,
    /// Something other than an untagged revision reaches it.
    is_kept: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Claim {
    repository: u32,
    tag: u32,
    revision: u32,
    untagged: u32,
    keeps: bool,
}

impl Owners {
    fn claim(&mut self, blob: BlobId, claim: Claim) {
        let at = blob as usize;
        combine(&mut self.repository[at], claim.repository);
        combine(&mut self.tag[at], claim.tag);
        combine(&mut self.revision[at], claim.revision);
        combine(&mut self.untagged[at], claim.untagged);
        self.is_kept[at] |= claim.keeps;
    }
}

fn combine(slot: &mut u32, owner: u32) {
    if *slot != owner && owner != NOBODY {
        *slot = if *slot == NOBODY { owner } else { MANY };
    }
}

/// Marks that need no clearing between uses.
struct Marks {
    marked_in: Vec<u32>,
    round: u32,
}

impl Marks {
    fn new(length: usize) -> Self {
        Self { marked_in: vec![0; length], round: 0 }
    }

    fn next_round(&mut self) {
        self.round += 1;
    }

    /// Whether it was not marked in this round before.
    fn mark(&mut self, at: u32) -> bool {
        std::mem::replace(&mut self.marked_in[at as usize], self.round) != self.round
    }

    fn is_marked(&self, at: u32) -> bool {
        self.marked_in[at as usize] == self.round
    }
}

struct Accounting<'a> {
    graph: &'a Graph,
    owners: Owners,
    blobs: Vec<BlobAccount>,
    manifest_logical_bytes: Vec<u64>,
    closure: Closure,
    blob_marks: Marks,
    /// A manifest's place in the repository at hand.
    local: Vec<u32>,
    next_tag: u32,
    next_revision: u32,
}

/// Works out all figures.
pub fn account(graph: &Graph) -> Accounts {
    let blob_count = graph.digests.len();
    let mut accounting = Accounting {
        graph,
        owners: Owners {
            repository: vec![NOBODY; blob_count],
            tag: vec![NOBODY; blob_count],
            revision: vec![NOBODY; blob_count],
            untagged: vec![NOBODY; blob_count],
            is_kept: vec![false; blob_count],
        },
        blobs: vec![BlobAccount::default(); blob_count],
        manifest_logical_bytes: Vec::new(),
        closure: Closure::new(graph),
        blob_marks: Marks::new(blob_count),
        local: vec![0; graph.manifests.len()],
        next_tag: 0,
        next_revision: 0,
    };
    accounting.hold_globally();
    accounting.count_manifests();
    accounting.manifest_logical_bytes = accounting.all_logical_bytes();
    let places = 0..graph.repositories.len() as u32;
    let repositories = places.map(|place| accounting.repository(place)).collect();
    accounting.finish(repositories)
}

impl Accounting<'_> {
    /// Holds that reach beyond one repository.
    fn hold_globally(&mut self) {
        let held =
            Claim { repository: MANY, tag: MANY, revision: MANY, untagged: MANY, keeps: true };
        let all = self.graph.is_storage_held();
        let manifests = self.graph.are_manifests_held();
        if !all && !manifests {
            return;
        }
        if all {
            for blob in 0..self.graph.files.len() as BlobId {
                self.owners.claim(blob, held);
            }
            return;
        }
        for blob in 0..self.graph.files.len() as BlobId {
            if self.graph.may_be_manifest(blob) {
                self.owners.claim(blob, held);
            }
        }
    }

    fn count_manifests(&mut self) {
        for manifest in self.graph.manifests.iter().filter(|manifest| !manifest.is_orphan) {
            self.blob_marks.next_round();
            for reference in manifest.references() {
                if self.blob_marks.mark(reference.blob) {
                    self.blobs[reference.blob as usize].manifest_count += 1;
                }
            }
        }
    }

    fn all_logical_bytes(&mut self) -> Vec<u64> {
        let graph = self.graph;
        graph
            .manifests
            .iter()
            .map(|manifest| {
                let nodes = self.closure.of(graph, [manifest.blob], |_| false);
                logical_bytes(graph, nodes, &mut self.blob_marks)
            })
            .collect()
    }

    fn repository(&mut self, place: u32) -> RepositoryAccount {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        let is_revision = |blob: BlobId| is_revision(repository, blob);
        let held_blobs: Vec<BlobId> = graph
            .roots
            .iter()
            .filter(|root| root.repository == Some(place))
            .filter_map(|root| root.blob)
            .collect();

        let starts = repository.revisions.iter().map(|revision| revision.name);
        let starts = starts.chain(repository.tags.iter().filter_map(|tag| tag.target));
        let nodes =
            self.closure.of(graph, starts.chain(held_blobs.iter().copied()), is_revision).to_vec();
        for (local, &node) in (0..).zip(&nodes) {
            self.local[node as usize] = local;
        }
        let has_referrers = !graph.referrers.is_empty()
            && nodes
                .iter()
                .any(|&node| graph.referrers.contains_key(&graph.manifests[node as usize].blob));

        let mut account = RepositoryAccount::default();
        let mut tag_owner = vec![NOBODY; nodes.len()];
        account.tags = self.tags(repository, has_referrers, &mut tag_owner);
        let is_tagged: Vec<bool> = tag_owner.iter().map(|owner| *owner != NOBODY).collect();

        let mut is_held = vec![repository.is_held; nodes.len()];
        for &node in self.closure.of(graph, held_blobs.iter().copied(), is_revision) {
            is_held[self.local[node as usize] as usize] = true;
        }

        // Untagged revisions stay when a tag goes, and so does all that they lead to.
        let local_of = |blob: BlobId, local: &[u32]| {
            graph.manifest_at(blob).map(|node| local[node as usize] as usize)
        };
        let untagged = repository.revisions.iter().map(|revision| revision.name);
        let untagged: Vec<BlobId> = untagged
            .filter(|blob| local_of(*blob, &self.local).is_some_and(|at| !is_tagged[at]))
            .collect();
        for &node in self.closure.of(graph, untagged, is_revision) {
            tag_owner[self.local[node as usize] as usize] = MANY;
        }
        let revision_owner = self.revision_owners(repository, &nodes);

        self.blob_marks.next_round();
        for (at, &node) in nodes.iter().enumerate() {
            let is_untagged = !is_tagged[at] && !is_held[at];
            let claim = Claim {
                repository: place,
                tag: if is_held[at] { MANY } else { tag_owner[at] },
                revision: if is_held[at] { MANY } else { revision_owner[at] },
                untagged: if is_untagged { place } else { MANY },
                keeps: !is_untagged,
            };
            for_each_kept_blob(graph, node, |blob| {
                self.owners.claim(blob, claim);
                if self.blob_marks.mark(blob) {
                    self.blobs[blob as usize].repository_count += 1;
                    add(&mut account.logical_bytes, graph.size_bytes(blob));
                }
            });
        }
        // What a held repository links may be what its unreadable manifest names.
        let held_links = repository.layer_links.iter().filter(|_| repository.is_held);
        let held_links = held_links.flat_map(|link| [link.name, link.target]);
        let claim =
            Claim { repository: place, tag: MANY, revision: MANY, untagged: MANY, keeps: true };
        for blob in held_links.chain(held_blobs) {
            self.owners.claim(blob, claim);
            if self.blob_marks.mark(blob) {
                self.blobs[blob as usize].repository_count += 1;
                add(&mut account.logical_bytes, graph.size_bytes(blob));
            }
        }
        account.link_is_needed = repository
            .layer_links
            .iter()
            .map(|link| {
                self.blob_marks.is_marked(link.name) || self.blob_marks.is_marked(link.target)
            })
            .collect();

        account.revisions = self.revisions(repository, has_referrers, &is_tagged, &is_held);
        self.next_tag += repository.tags.len() as u32;
        self.next_revision += repository.revisions.len() as u32;
        account
    }

    /// Figures of revisions, but for what they free.
    fn revisions(
        &mut self,
        repository: &GraphRepository,
        has_referrers: bool,
        is_tagged: &[bool],
        is_held: &[bool],
    ) -> Vec<RevisionAccount> {
        let graph = self.graph;
        let figures = repository.revisions.iter().map(|revision| {
            let Some(node) = graph.manifest_at(revision.name) else {
                // Every revision is a manifest, if only a missing one.
                return RevisionAccount { is_held: true, ..RevisionAccount::default() };
            };
            let at = self.local[node as usize] as usize;
            let logical_bytes = if has_referrers {
                let nodes =
                    self.closure.of(graph, [revision.name], |blob| is_revision(repository, blob));
                logical_bytes(graph, nodes, &mut self.blob_marks)
            } else {
                self.manifest_logical_bytes[node as usize]
            };
            RevisionAccount {
                is_tagged: is_tagged[at],
                is_held: is_held[at] && !is_tagged[at],
                logical_bytes,
                exclusive_bytes: 0,
            }
        });
        figures.collect()
    }

    /// Figures of tags, one walk for each digest that tags point at.
    fn tags(
        &mut self,
        repository: &GraphRepository,
        has_referrers: bool,
        owner: &mut [u32],
    ) -> Vec<TagAccount> {
        let graph = self.graph;
        let mut figures =
            vec![TagAccount { is_broken: true, ..TagAccount::default() }; repository.tags.len()];
        let mut by_target: Vec<(BlobId, u32)> = repository
            .tags
            .iter()
            .zip(0..)
            .filter_map(|(tag, place)| tag.target.map(|target| (target, place)))
            .collect();
        by_target.sort_unstable();
        for group in by_target.chunk_by(|a, b| a.0 == b.0) {
            let (target, first) = group[0];
            let claim = if group.len() == 1 { self.next_tag + first } else { MANY };
            let nodes = self.closure.of(graph, [target], |_| false);
            let mut tag = pull(graph, repository, target, nodes, &mut self.blob_marks);
            let nodes = if has_referrers {
                self.closure.of(graph, [target], |blob| is_revision(repository, blob))
            } else {
                nodes
            };
            self.blob_marks.next_round();
            for &node in nodes {
                combine(&mut owner[self.local[node as usize] as usize], claim);
                for_each_kept_blob(graph, node, |blob| {
                    if self.blob_marks.mark(blob) {
                        add(&mut tag.logical_bytes, graph.size_bytes(blob));
                        self.blobs[blob as usize].tag_count += group.len() as u32;
                    }
                });
            }
            for (_, place) in group {
                figures[*place as usize] = tag;
            }
        }
        figures
    }

    fn revision_owners(&mut self, repository: &GraphRepository, nodes: &[ManifestId]) -> Vec<u32> {
        let graph = self.graph;
        let is_revision = |blob: BlobId| is_revision(repository, blob);
        let mut has_parent = vec![false; nodes.len()];
        for &node in nodes {
            for_each_child(graph, node, is_revision, |child| {
                if let Some(child) = graph.manifest_at(child).filter(|child| *child != node) {
                    has_parent[self.local[child as usize] as usize] = true;
                }
            });
        }
        let mut owner = vec![NOBODY; nodes.len()];
        for (revision, number) in repository.revisions.iter().zip(self.next_revision..) {
            let Some(node) = graph.manifest_at(revision.name) else {
                continue;
            };
            if has_parent[self.local[node as usize] as usize] {
                continue;
            }
            for &node in self.closure.of(graph, [revision.name], is_revision) {
                combine(&mut owner[self.local[node as usize] as usize], number);
            }
        }
        let is_pinned = |target: &BlobId| {
            graph.manifest_at(*target).is_some_and(|node| {
                has_parent[self.local[node as usize] as usize] || !is_revision(*target)
            })
        };
        let pinned: Vec<BlobId> =
            repository.tags.iter().filter_map(|tag| tag.target).filter(is_pinned).collect();
        for &node in self.closure.of(graph, pinned, is_revision) {
            owner[self.local[node as usize] as usize] = MANY;
        }
        // Only manifests that name each other in a ring have nothing on top of them. They keep what
        // they lead to.
        let in_rings = nodes.iter().zip(&owner).filter(|(_, owner)| **owner == NOBODY);
        let in_rings: Vec<BlobId> =
            in_rings.map(|(node, _)| graph.manifests[*node as usize].blob).collect();
        for &node in self.closure.of(graph, in_rings, is_revision) {
            owner[self.local[node as usize] as usize] = MANY;
        }
        owner
    }

    fn finish(mut self, mut repositories: Vec<RepositoryAccount>) -> Accounts {
        let mut tag_bytes = vec![0; self.next_tag as usize];
        let mut revision_bytes = vec![0; self.next_revision as usize];
        let (mut untagged_bytes, mut orphan_bytes, mut orphan_count) = (0, 0, 0);
        for (at, file) in self.graph.files.iter().enumerate() {
            let blob = &mut self.blobs[at];
            let one = |owner: u32| (owner < MANY).then_some(owner);
            blob.only_repository = one(self.owners.repository[at]);
            blob.only_tag = one(self.owners.tag[at]);
            let Some(size) = file.map(|file| file.size_bytes) else {
                continue;
            };
            if let Some(place) = blob.only_repository {
                add(&mut repositories[place as usize].exclusive_bytes, size);
            }
            if let Some(place) = one(self.owners.untagged[at]) {
                add(&mut repositories[place as usize].untagged_bytes, size);
            }
            if let Some(number) = blob.only_tag {
                add(&mut tag_bytes[number as usize], size);
            }
            if let Some(number) = one(self.owners.revision[at]) {
                add(&mut revision_bytes[number as usize], size);
            }
            if self.owners.repository[at] == NOBODY {
                blob.is_orphan = true;
                add(&mut orphan_bytes, size);
                orphan_count += 1;
            } else if !self.owners.is_kept[at] {
                add(&mut untagged_bytes, size);
            }
        }
        let mut tag_bytes = tag_bytes.into_iter();
        let mut revision_bytes = revision_bytes.into_iter();
        for repository in &mut repositories {
            for (tag, bytes) in repository.tags.iter_mut().zip(&mut tag_bytes) {
                tag.exclusive_bytes = bytes;
            }
            for (revision, bytes) in repository.revisions.iter_mut().zip(&mut revision_bytes) {
                revision.exclusive_bytes = bytes;
            }
        }
        Accounts {
            blobs: self.blobs,
            manifest_logical_bytes: self.manifest_logical_bytes,
            repositories,
            untagged_bytes,
            orphan_bytes,
            orphan_count,
        }
    }
}

/// Whether the manifest is linked in the repository.
pub fn is_revision(repository: &GraphRepository, blob: BlobId) -> bool {
    repository.revisions.binary_search_by_key(&blob, |revision| revision.name).is_ok()
}

/// Sizes are whatever the file system says: a sum stops at what the database can hold.
fn add(sum: &mut u64, bytes: u64) {
    *sum = sum.saturating_add(bytes).min(i64::MAX as u64);
}

fn logical_bytes(graph: &Graph, nodes: &[ManifestId], marks: &mut Marks) -> u64 {
    marks.next_round();
    let mut bytes = 0;
    for &node in nodes {
        for_each_kept_blob(graph, node, |blob| {
            if marks.mark(blob) {
                add(&mut bytes, graph.size_bytes(blob));
            }
        });
    }
    bytes
}

/// What pulling a tag would meet: how many layers, and whether all is there.
fn pull(
    graph: &Graph,
    repository: &GraphRepository,
    target: BlobId,
    nodes: &[ManifestId],
    marks: &mut Marks,
) -> TagAccount {
    marks.next_round();
    let mut tag =
        TagAccount { is_broken: !is_revision(repository, target), ..TagAccount::default() };
    for &node in nodes {
        let manifest = &graph.manifests[node as usize];
        tag.is_broken |= manifest.is_broken() && !graph.is_pull_through;
        let mut children = (0_u32, 0_u32);
        for reference in manifest.references() {
            if reference.role == Role::Layer && marks.mark(reference.blob) {
                tag.layer_count += 1;
            }
            match reference.role {
                Role::Config | Role::Layer => {
                    tag.is_broken |= missing(graph, repository, reference).is_some();
                }
                Role::Manifest => {
                    children.0 += 1;
                    let is_served = graph.is_available(reference.blob)
                        && is_revision(repository, reference.blob);
                    children.1 += u32::from(is_served);
                    tag.is_broken |= is_unlinked_child(graph, repository, reference);
                }
                Role::Blob | Role::Subject => {}
            }
        }
        // An index of which no child is served here can be pulled for no platform.
        let is_index = manifest.body.as_ref().is_some_and(|body| body.kind == ManifestKind::Index);
        tag.is_broken |= is_index && children.0 > 0 && children.1 == 0 && !graph.is_pull_through;
    }
    tag
}

/// Whether an index's child is on disk and not linked in the repository: the registry answers 404
/// for it. One that is not on disk either was left out on purpose.
pub fn is_unlinked_child(
    graph: &Graph,
    repository: &GraphRepository,
    reference: &crate::scan::ReferenceFacts,
) -> bool {
    reference.role == Role::Manifest
        && !graph.is_pull_through
        && graph.is_available(reference.blob)
        && !is_revision(repository, reference.blob)
}

/// Why the registry cannot serve what a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The blob is not on disk.
    Blob,
    /// It is on disk and not linked in the repository.
    Link,
}

/// Whether the registry can serve a config or layer in a repository (distribution
/// `registry/storage/linkedblobstore.go`: the link first, then the blob).
pub fn missing(
    graph: &Graph,
    repository: &GraphRepository,
    reference: &crate::scan::ReferenceFacts,
) -> Option<Missing> {
    if graph.is_pull_through || reference.is_external {
        return None;
    }
    if !graph.is_available(reference.blob) {
        return Some(Missing::Blob);
    }
    let links = &repository.layer_links;
    let is_linked = links.binary_search_by_key(&reference.blob, |link| link.name).is_ok();
    (!is_linked).then_some(Missing::Link)
}
