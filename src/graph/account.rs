//! Logical and exclusive bytes of everything, in one pass over the edges.
//!
//! *Logical* bytes of X are the distinct present blobs that X reaches. A tag and a revision also
//! reach the referrers of what they reach that are linked in the same repository: those go when
//! their subject goes, so that exclusive bytes are always part of the logical ones.
//!
//! *Exclusive* bytes of X are what deleting X frees. Instead of deleting each X in turn, every blob
//! gets an owner for each kind of X: none, one X, or many. A manifest passes its owner on to what
//! it keeps; two different owners make many. Bytes with one owner are exclusive to it. One pass
//! serves all repositories, tags and revisions, and costs as much as reading the references once.
//!
//! What owns a manifest in its repository:
//! - as a **tag**: the one tag that reaches it. Two tags on one digest own nothing: neither frees it
//!   alone. A manifest that an untagged revision reaches is pinned by it and has no tag as owner.
//! - as a **revision**: the one revision on top of it, that is, one that no other revision reaches.
//!   A tag on something below the top pins what it points at.
//! - as **untagged**: its repository, if no tag and nothing fixed reaches it.
//!
//! What a tag about an image (`sha256-<digest>.sig`) leads to comes free with the image and with that
//! tag alone. Owners of both kinds are kept apart: the second time such a tag is one like any other.
//!
//! What is fixed (a hold, an external root) has many owners, so no deletion frees it.

use std::collections::HashSet;

use super::flat::Graph;
use super::parts::{BlobId, ManifestId, RepositoryNode};
use super::walk::{Marks, Paths, Walk, for_each_next, targets_by_manifest};

/// Owner of what nothing reaches.
const NONE: u32 = u32::MAX;
/// Owner of what several reach.
const MANY: u32 = u32::MAX - 1;

/// Figures for a whole graph; every list has the graph's order.
#[derive(Debug)]
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
    /// Blobs that stay whatever repositories say, unless all do.
    pub kept_everywhere: Vec<BlobId>,
}

/// Figures for a blob.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlobAccount {
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
    /// Present, and only untagged revisions reach it.
    pub is_untagged: bool,
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
    /// Something outside of the storage refers to it, directly or through what leads to it.
    pub is_rooted: bool,
    /// Distinct present bytes that it reaches.
    pub logical_bytes: u64,
    /// Bytes that deleting it, its tags and what they leave unreferenced frees.
    pub exclusive_bytes: u64,
}

impl RevisionAccount {
    /// Whether it is known that no tag leads to it, and nothing outside of the storage does: one whose tag
    /// cannot be read may be tagged.
    pub fn is_untagged(&self) -> bool {
        !self.is_tagged && !self.is_held && !self.is_rooted
    }
}

/// Figures for a tag.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagAccount {
    /// Distinct present bytes that it reaches.
    pub logical_bytes: u64,
    /// Bytes that deleting it alone frees.
    pub exclusive_bytes: u64,
}

/// What is kept, without any figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// One for each blob: something that is kept leads to it.
    pub is_kept: Vec<bool>,
    /// One for each layer link: something that is kept in its repository needs it.
    pub link_is_needed: Vec<bool>,
}

impl Reach {
    /// Whether a blob is on disk and nothing that is kept leads to it.
    pub fn is_orphan(&self, graph: &Graph, blob: BlobId) -> bool {
        !self.is_kept[blob as usize] && graph.blobs[blob as usize].size_bytes.is_some()
    }
}

/// Works out what is kept.
pub fn reach(graph: &Graph) -> Reach {
    let mut walk = Walk::new(graph);
    let mut marks = Marks::new(graph.blobs.len());
    let mut is_kept: Vec<bool> =
        (0..graph.blobs.len() as BlobId).map(|blob| graph.is_kept_everywhere(blob)).collect();
    let mut link_is_needed = Vec::with_capacity(graph.links.len());
    for repository in &graph.repositories {
        marks.clear();
        walk.go(graph, Some(repository), graph.starts(repository));
        let named = walk.found().iter().flat_map(|id| graph.kept_blobs(*id)).copied();
        for blob in named.chain(graph.fixed_starts(repository)) {
            marks.mark(blob);
            is_kept[blob as usize] = true;
        }
        let links = graph.links_of(repository).iter();
        link_is_needed.extend(links.map(|link| marks.has(link.name) || marks.has(link.target)));
    }
    Reach { is_kept, link_is_needed }
}

/// For each blob, who would free it, by kind of deletion.
struct Owners {
    repository: Vec<u32>,
    tag: Vec<u32>,
    revision: Vec<u32>,
    /// Tags about images and what they point at, as if they were like any other; empty when there are
    /// none.
    attached_tag: Vec<u32>,
    attached_revision: Vec<u32>,
    untagged: Vec<u32>,
    /// Something other than an untagged revision reaches it.
    is_kept: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Claim {
    repository: u32,
    tag: u32,
    revision: u32,
    attached_tag: u32,
    attached_revision: u32,
    untagged: u32,
    keeps: bool,
}

/// The claim of what no deletion frees.
const FIXED: Claim = Claim {
    repository: MANY,
    tag: MANY,
    revision: MANY,
    attached_tag: MANY,
    attached_revision: MANY,
    untagged: MANY,
    keeps: true,
};

impl Owners {
    fn claim(&mut self, blob: BlobId, claim: Claim) {
        let at = blob as usize;
        combine(&mut self.repository[at], claim.repository);
        combine(&mut self.tag[at], claim.tag);
        combine(&mut self.revision[at], claim.revision);
        if !self.attached_tag.is_empty() {
            combine(&mut self.attached_tag[at], claim.attached_tag);
            combine(&mut self.attached_revision[at], claim.attached_revision);
        }
        combine(&mut self.untagged[at], claim.untagged);
        self.is_kept[at] |= claim.keeps;
    }
}

fn combine(slot: &mut u32, owner: u32) {
    if *slot != owner && owner != NONE {
        *slot = if *slot == NONE { owner } else { MANY };
    }
}

struct Accounting<'a> {
    graph: &'a Graph,
    paths: Paths,
    owners: Owners,
    blobs: Vec<BlobAccount>,
    walk: Walk,
    blob_marks: Marks,
    /// A manifest's place in the repository at hand.
    local: Vec<u32>,
}

/// Works out all figures.
pub fn account(graph: &Graph) -> Accounts {
    let blob_count = graph.blobs.len();
    let has_attached = graph.repositories.iter().any(|node| !node.attached.is_empty());
    let mut accounting = Accounting {
        graph,
        paths: Paths::new(graph),
        owners: Owners {
            repository: vec![NONE; blob_count],
            tag: vec![NONE; blob_count],
            revision: vec![NONE; blob_count],
            attached_tag: vec![NONE; if has_attached { blob_count } else { 0 }],
            attached_revision: vec![NONE; if has_attached { blob_count } else { 0 }],
            untagged: vec![NONE; blob_count],
            is_kept: vec![false; blob_count],
        },
        blobs: vec![BlobAccount::default(); blob_count],
        walk: Walk::new(graph),
        blob_marks: Marks::new(blob_count),
        local: vec![0; graph.manifests.len()],
    };
    for blob in (0..blob_count as BlobId).filter(|blob| graph.is_kept_everywhere(*blob)) {
        accounting.owners.claim(blob, FIXED);
    }
    let manifest_logical_bytes = accounting.manifest_logical_bytes();
    let places = 0..graph.repositories.len() as u32;
    let repositories =
        places.map(|place| accounting.repository(place, &manifest_logical_bytes)).collect();
    accounting.finish(repositories, manifest_logical_bytes)
}

impl Accounting<'_> {
    /// Distinct present bytes below each manifest, path by path.
    fn manifest_logical_bytes(&mut self) -> Vec<u64> {
        let graph = self.graph;
        let all = (0..graph.manifests.len() as ManifestId).map(|id| (id, ())).collect();
        let mut bytes_of = vec![0; graph.manifests.len()];
        for path in self.paths.sort(all).chunk_by(|a, b| a.0 == b.0) {
            self.walk.clear();
            self.blob_marks.clear();
            let mut bytes = 0;
            for (_, id, ()) in path {
                let start = graph.manifests[*id as usize];
                for new in self.walk.go_on(graph, None, [start], |_| true) {
                    add_new(graph, *new, &mut self.blob_marks, &mut bytes);
                }
                bytes_of[*id as usize] = bytes;
            }
        }
        bytes_of
    }

    fn repository(&mut self, place: u32, manifest_logical_bytes: &[u64]) -> RepositoryAccount {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        self.walk.go(graph, Some(repository), graph.starts(repository));
        let nodes = self.walk.found().to_vec();
        for (local, &node) in (0..).zip(&nodes) {
            self.local[node as usize] = local;
        }
        let mut account =
            RepositoryAccount { tags: self.tags(repository), ..RepositoryAccount::default() };

        let targets =
            repository.tags.clone().filter_map(|tag| Some((graph.tags[tag as usize].target?, tag)));
        let targets = targets_by_manifest(graph, targets);
        let mut is_tagged = vec![false; nodes.len()];
        if !graph.ignores_tags {
            // A tag about an image that no tag leads to is no reason to keep either.
            let is_start =
                |tags: &[u32]| tags.iter().any(|tag| graph.tags[*tag as usize].subject.is_none());
            let starts = targets.iter().filter(|(_, tags)| is_start(tags));
            self.mark(repository, starts.map(|(id, _)| *id), true, &mut is_tagged);
        }
        let mut is_fixed = vec![false; nodes.len()];
        let fixed = graph.fixed_starts(repository).filter_map(|blob| graph.manifest_at(blob));
        self.mark(repository, fixed, true, &mut is_fixed);
        let mut is_rooted = vec![false; if repository.rooted.is_empty() { 0 } else { nodes.len() }];
        let rooted = repository.rooted.iter().filter_map(|blob| graph.manifest_at(*blob));
        self.mark(repository, rooted, true, &mut is_rooted);

        let tag_owner = self.tag_owners(repository, &targets, true, &nodes);
        let revision_owner = self.revision_owners(repository, &targets, true, &nodes);
        let (mut attached_tag, mut attached_revision) = (Vec::new(), Vec::new());
        let mut is_fixed_alone = Vec::new();
        if !repository.attached.is_empty() {
            is_fixed_alone = vec![false; nodes.len()];
            let fixed = graph.fixed_starts(repository).filter_map(|blob| graph.manifest_at(blob));
            self.mark(repository, fixed, false, &mut is_fixed_alone);
            attached_tag = self.tag_owners(repository, &targets, false, &nodes);
            attached_revision = self.revision_owners(repository, &targets, false, &nodes);
        }

        self.blob_marks.clear();
        for (at, &node) in nodes.iter().enumerate() {
            let is_untagged = !is_tagged[at] && !is_fixed[at];
            let owner = |owner: u32| if is_fixed[at] { MANY } else { owner };
            let is_fixed_alone = is_fixed_alone.get(at).copied().unwrap_or(true);
            let alone = |owner: Option<&u32>| match owner {
                Some(owner) if !is_fixed_alone => *owner,
                _ => MANY,
            };
            let claim = Claim {
                repository: place,
                tag: owner(tag_owner[at]),
                revision: owner(revision_owner[at]),
                attached_tag: alone(attached_tag.get(at)),
                attached_revision: alone(attached_revision.get(at)),
                untagged: if is_untagged { place } else { MANY },
                keeps: !is_untagged,
            };
            for &blob in graph.kept_blobs(node) {
                self.claim(blob, claim, &mut account.logical_bytes);
            }
        }
        let claim = Claim { repository: place, ..FIXED };
        for blob in graph.fixed_starts(repository) {
            self.claim(blob, claim, &mut account.logical_bytes);
        }
        // A repository in which somebody outside refers to something never goes whole, so that what
        // is fixed in it stays.
        if !repository.rooted.is_empty() {
            let named = nodes.iter().zip(&is_fixed).filter(|(_, is_fixed)| **is_fixed);
            let named = named.flat_map(|(node, _)| graph.kept_blobs(*node)).copied();
            for blob in named.chain(graph.fixed_starts(repository)) {
                combine(&mut self.owners.repository[blob as usize], MANY);
            }
        }
        let marks = &self.blob_marks;
        let links = graph.links_of(repository).iter();
        account.link_is_needed =
            links.map(|link| marks.has(link.name) || marks.has(link.target)).collect();

        account.revisions = self.revisions(repository, &nodes, manifest_logical_bytes);
        for (blob, revision) in graph.revisions_of(repository).iter().zip(&mut account.revisions) {
            let Some(node) = graph.manifest_at(*blob) else {
                // Every revision is a manifest, if only a missing one.
                revision.is_held = true;
                continue;
            };
            let at = self.local[node as usize] as usize;
            revision.is_tagged = is_tagged[at];
            revision.is_rooted = is_rooted.get(at).copied().unwrap_or(false);
            revision.is_held = is_fixed[at] && !is_tagged[at] && !revision.is_rooted;
        }
        account
    }

    fn claim(&mut self, blob: BlobId, claim: Claim, logical_bytes: &mut u64) {
        self.owners.claim(blob, claim);
        if self.blob_marks.mark(blob) {
            self.blobs[blob as usize].repository_count += 1;
            add(logical_bytes, self.graph.size_bytes(blob));
        }
    }

    /// Marks all nodes that some manifests lead to.
    fn mark(
        &mut self,
        repository: &RepositoryNode,
        starts: impl Iterator<Item = ManifestId>,
        has_attached: bool,
        flags: &mut [bool],
    ) {
        let graph = self.graph;
        let mut starts = starts.map(|id| graph.manifests[id as usize]).peekable();
        if starts.peek().is_none() {
            return;
        }
        self.walk.clear();
        for node in self.walk.go_on(graph, Some(repository), starts, |_| has_attached) {
            flags[self.local[*node as usize] as usize] = true;
        }
    }

    /// Passes an owner on from a manifest to all that it leads to. What has many owners has passed
    /// that on already, so that each manifest is met twice at most.
    fn own(
        &self,
        repository: &RepositoryNode,
        start: ManifestId,
        claim: u32,
        has_attached: bool,
        owner: &mut [u32],
    ) {
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            let slot = &mut owner[self.local[id as usize] as usize];
            let before = *slot;
            combine(slot, claim);
            if *slot != before {
                for_each_next(
                    self.graph,
                    Some(repository),
                    id,
                    |_| has_attached,
                    |next, _| open.push(next),
                );
            }
        }
    }

    /// The owners of all nodes by tags. `has_attached`: tags about an image lead to what they point at
    /// from that image, and not by themselves.
    fn tag_owners(
        &self,
        repository: &RepositoryNode,
        targets: &[(ManifestId, Vec<u32>)],
        has_attached: bool,
        nodes: &[ManifestId],
    ) -> Vec<u32> {
        let graph = self.graph;
        let mut owner = vec![NONE; nodes.len()];
        for (id, tags) in targets {
            let is_start = |tag: &&u32| self.is_start(**tag, has_attached);
            match (tags.iter().find(is_start), tags.len()) {
                (None, _) => {}
                (Some(tag), 1) => self.own(repository, *id, *tag, has_attached, &mut owner),
                _ => self.own(repository, *id, MANY, has_attached, &mut owner),
            }
        }
        // Untagged revisions stay when a tag goes, and so does all that they lead to.
        let is_untagged = |id: &ManifestId| owner[self.local[*id as usize] as usize] == NONE;
        let revisions = graph.revisions_of(repository).iter();
        let revisions = revisions.filter_map(|blob| graph.manifest_at(*blob));
        for id in revisions.filter(is_untagged).collect::<Vec<_>>() {
            self.own(repository, id, MANY, has_attached, &mut owner);
        }
        owner
    }

    /// The owners of all nodes by revisions.
    fn revision_owners(
        &self,
        repository: &RepositoryNode,
        targets: &[(ManifestId, Vec<u32>)],
        has_attached: bool,
        nodes: &[ManifestId],
    ) -> Vec<u32> {
        let graph = self.graph;
        let mut has_parent = vec![false; nodes.len()];
        for &node in nodes {
            for_each_next(
                graph,
                Some(repository),
                node,
                |_| has_attached,
                |child, _| {
                    if child != node {
                        has_parent[self.local[child as usize] as usize] = true;
                    }
                },
            );
        }
        let mut owner = vec![NONE; nodes.len()];
        let has_parent = |id: ManifestId| has_parent[self.local[id as usize] as usize];
        for at in repository.revisions.clone() {
            if let Some(node) = graph.manifest_at(graph.revisions[at as usize])
                && !has_parent(node)
            {
                self.own(repository, node, at, has_attached, &mut owner);
            }
        }
        for (id, tags) in targets {
            let is_start = tags.iter().any(|tag| self.is_start(*tag, has_attached));
            if is_start && (has_parent(*id) || !graph.is_revision(repository, *id)) {
                self.own(repository, *id, MANY, has_attached, &mut owner);
            }
        }
        // Only manifests that name each other in a ring have nothing on top of them. They keep what
        // they lead to.
        for &node in nodes {
            if owner[self.local[node as usize] as usize] == NONE {
                self.own(repository, node, MANY, has_attached, &mut owner);
            }
        }
        owner
    }

    fn is_start(&self, tag: u32, has_attached: bool) -> bool {
        !has_attached || self.graph.tags[tag as usize].subject.is_none()
    }

    /// Logical bytes of tags, and which blobs they reach, path by path.
    fn tags(&mut self, repository: &RepositoryNode) -> Vec<TagAccount> {
        let graph = self.graph;
        let first_tag = repository.tags.start;
        let mut figures = vec![TagAccount::default(); repository.tags.len()];
        let targets =
            repository.tags.clone().filter_map(|tag| Some((graph.tags[tag as usize].target?, tag)));
        let groups = self.paths.sort(targets_by_manifest(graph, targets));
        // The blobs that each group of a path adds.
        let mut added: Vec<(BlobId, usize)> = Vec::new();
        for path in groups.chunk_by(|a, b| a.0 == b.0) {
            self.walk.clear();
            self.blob_marks.clear();
            added.clear();
            let mut bytes = 0;
            for (at, (_, id, tags)) in path.iter().enumerate() {
                let start = graph.manifests[*id as usize];
                for new in self.walk.go_on(graph, Some(repository), [start], |_| true) {
                    for &blob in graph.kept_blobs(*new) {
                        if self.blob_marks.mark(blob) {
                            add(&mut bytes, graph.size_bytes(blob));
                            added.push((blob, at));
                        }
                    }
                }
                for tag in tags {
                    figures[(tag - first_tag) as usize].logical_bytes = bytes;
                }
            }
            // What a group adds, those above it on the path reach as well.
            let mut tags_from: Vec<u32> = path.iter().map(|(.., tags)| tags.len() as u32).collect();
            for at in (1..tags_from.len()).rev() {
                tags_from[at - 1] += tags_from[at];
            }
            for (blob, at) in &added {
                self.blobs[*blob as usize].tag_count += tags_from[*at];
            }
        }
        figures
    }

    /// Logical bytes of revisions.
    fn revisions(
        &mut self,
        repository: &RepositoryNode,
        reached: &[ManifestId],
        manifest_logical_bytes: &[u64],
    ) -> Vec<RevisionAccount> {
        let graph = self.graph;
        let revisions = graph.revisions_of(repository);
        let mut figures = vec![RevisionAccount::default(); revisions.len()];
        let nodes = (0_usize..).zip(revisions);
        let nodes: Vec<(ManifestId, usize)> =
            nodes.filter_map(|(at, blob)| Some((graph.manifest_at(*blob)?, at))).collect();
        let has_referrers = !repository.attached.is_empty()
            || reached.iter().any(|id| graph.referrers(*id).next().is_some());
        if !has_referrers {
            for (id, at) in nodes {
                figures[at].logical_bytes = manifest_logical_bytes[id as usize];
            }
            return figures;
        }
        for path in self.paths.sort(nodes).chunk_by(|a, b| a.0 == b.0) {
            self.walk.clear();
            self.blob_marks.clear();
            let mut bytes = 0;
            for (_, id, at) in path {
                let start = graph.manifests[*id as usize];
                for new in self.walk.go_on(graph, Some(repository), [start], |_| true) {
                    add_new(graph, *new, &mut self.blob_marks, &mut bytes);
                }
                figures[*at].logical_bytes = bytes;
            }
        }
        figures
    }

    fn finish(
        mut self,
        mut repositories: Vec<RepositoryAccount>,
        manifest_logical_bytes: Vec<u64>,
    ) -> Accounts {
        let graph = self.graph;
        let is_attached_revision = attached_revisions(graph);
        let mut tag_bytes = vec![0; graph.tags.len()];
        let mut revision_bytes = vec![0; graph.revisions.len()];
        let (mut untagged_bytes, mut orphan_bytes, mut orphan_count) = (0, 0, 0);
        for (at, node) in graph.blobs.iter().enumerate() {
            let blob = &mut self.blobs[at];
            let one = |owner: u32| (owner < MANY).then_some(owner);
            let owners = &self.owners;
            let attached_tag = owners.attached_tag.get(at).copied().and_then(one);
            let attached_revision = owners.attached_revision.get(at).copied().and_then(one);
            blob.only_repository = one(owners.repository[at]);
            blob.only_tag = one(owners.tag[at]);
            let Some(size) = node.size_bytes else {
                continue;
            };
            if let Some(place) = blob.only_repository {
                add(&mut repositories[place as usize].exclusive_bytes, size);
            }
            if let Some(place) = one(owners.untagged[at]) {
                add(&mut repositories[place as usize].untagged_bytes, size);
            }
            let is_attached = |tag: &u32| graph.tags[*tag as usize].subject.is_some();
            let attached_tag = attached_tag.filter(is_attached);
            for tag in blob.only_tag.into_iter().chain(attached_tag) {
                add(&mut tag_bytes[tag as usize], size);
            }
            let revision = one(owners.revision[at]).filter(|at| !is_attached_revision.contains(at));
            let attached_revision =
                attached_revision.filter(|at| is_attached_revision.contains(at));
            for number in revision.into_iter().chain(attached_revision) {
                add(&mut revision_bytes[number as usize], size);
            }
            if owners.repository[at] == NONE {
                blob.is_orphan = true;
                add(&mut orphan_bytes, size);
                orphan_count += 1;
            } else if !owners.is_kept[at] {
                blob.is_untagged = true;
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
            manifest_logical_bytes,
            repositories,
            untagged_bytes,
            orphan_bytes,
            orphan_count,
            kept_everywhere: graph.kept_everywhere().collect(),
        }
    }
}

/// Sizes are whatever the file system says: a sum stops at what the database can hold.
fn add(sum: &mut u64, bytes: u64) {
    *sum = sum.saturating_add(bytes).min(i64::MAX as u64);
}

/// Adds the bytes of what a manifest keeps and is not marked yet.
fn add_new(graph: &Graph, id: ManifestId, marks: &mut Marks, bytes: &mut u64) {
    for &blob in graph.kept_blobs(id) {
        if marks.mark(blob) {
            add(bytes, graph.size_bytes(blob));
        }
    }
}

/// Revisions that a tag about an image points at.
fn attached_revisions(graph: &Graph) -> HashSet<u32> {
    let with_tags = graph.repositories.iter().filter(|node| !node.attached.is_empty());
    let found = with_tags.flat_map(|repository| {
        let targets = repository.attached.iter();
        let targets = targets.filter_map(|(_, tag)| graph.tags[*tag as usize].target);
        targets.filter_map(|target| {
            let at = graph.revisions_of(repository).binary_search(&target).ok()?;
            Some(repository.revisions.start + at as u32)
        })
    });
    found.collect()
}
