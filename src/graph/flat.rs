//! The one graph: lists of integers with the edges sorted by what they keep.

use std::ops::Range;

use super::parts::{
    BlobId, BlobNode, Edge, LinkNode, Lists, ManifestId, Parts, RepositoryNode, TagNode, UploadNode,
};
use crate::model::{Digest, Role};

/// Marks a blob that is no manifest.
const NONE: u32 = u32::MAX;

/// A storage as integers, with aliases followed. Lists are sorted as [`Parts`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// By digest; the place is the id.
    pub blobs: Vec<BlobNode>,
    /// By name.
    pub repositories: Vec<RepositoryNode>,
    /// Tags of all repositories.
    pub tags: Vec<TagNode>,
    /// Revisions of all repositories.
    pub revisions: Vec<BlobId>,
    /// When each of them was last pushed, in nanoseconds since 1970.
    pub revisions_pushed_ns: Vec<Option<i64>>,
    /// Layer links of all repositories.
    pub links: Vec<LinkNode>,
    /// Uploads of all repositories.
    pub uploads: Vec<UploadNode>,
    /// Blobs that are manifests, sorted; the place is the manifest's id.
    pub manifests: Vec<BlobId>,
    manifest_of: Vec<u32>,
    children: Lists,
    kept: Lists,
    /// Configs, and what unknown manifests name, by that blob; sorted.
    configs: Vec<(BlobId, ManifestId)>,
    /// Manifests about another one, by that one; both sorted.
    referrers: Vec<(ManifestId, ManifestId)>,
    pub(super) holds: super::holds::Holds,
    pub(super) ignores_tags: bool,
}

impl Graph {
    /// Follows aliases, sorts edges by what they keep, and works out what is held.
    pub fn new(mut parts: Parts) -> Self {
        parts.close_gaps();
        let mut manifest_of = vec![NONE; parts.blobs.len()];
        for (id, blob) in (0..).zip(&parts.manifests) {
            manifest_of[*blob as usize] = id;
        }
        let mut graph = Self {
            blobs: parts.blobs,
            repositories: parts.repositories,
            tags: parts.tags,
            revisions: parts.revisions,
            revisions_pushed_ns: parts.revisions_pushed_ns,
            links: parts.links,
            uploads: parts.uploads,
            manifests: parts.manifests,
            manifest_of,
            children: Lists::default(),
            kept: Lists::default(),
            configs: Vec::new(),
            referrers: Vec::new(),
            holds: super::holds::Holds::default(),
            ignores_tags: parts.ignores_tags,
        };
        graph.connect(&parts.edges, &parts.aliases);
        graph.attach_tags();
        graph.hold(&parts.holds, &parts.edges, &parts.aliases);
        graph.take_roots(&parts.roots);
        graph
    }

    fn connect(&mut self, edges: &[Edge], aliases: &[(BlobId, BlobId)]) {
        let aliases_of = |blob: BlobId| {
            let start = aliases.partition_point(|(name, _)| *name < blob);
            aliases[start..].iter().take_while(move |(name, _)| *name == blob).map(|pair| pair.1)
        };
        let mut rest = edges;
        for id in 0..self.manifests.len() as u32 {
            let blob = self.manifests[id as usize];
            self.kept.push(blob);
            for alias in aliases_of(blob) {
                self.kept.push(alias);
                self.push_child(alias);
            }
            let count = rest.iter().take_while(|edge| edge.manifest == blob).count();
            let (own, after) = rest.split_at(count);
            rest = after;
            for edge in own {
                if edge.role == Role::Subject {
                    if let Some(subject) = self.manifest_at(edge.blob) {
                        self.referrers.push((subject, id));
                    }
                    continue;
                }
                if matches!(edge.role, Role::Config | Role::Blob) {
                    self.configs.push((edge.blob, id));
                    self.configs.extend(aliases_of(edge.blob).map(|alias| (alias, id)));
                }
                // Whatever a manifest calls a blob: if that is a manifest, what it names stays too.
                let is_child = self.manifest_at(edge.blob).is_some();
                if is_child {
                    self.push_child(edge.blob);
                } else {
                    self.kept.push(edge.blob);
                }
                for alias in aliases_of(edge.blob) {
                    self.push_child(alias);
                    if !is_child {
                        self.kept.push(alias);
                    }
                }
            }
            self.kept.end_list();
            self.children.end_list();
        }
        self.configs.sort_unstable();
        self.referrers.sort_unstable();
    }

    fn push_child(&mut self, blob: BlobId) {
        if let Some(child) = self.manifest_at(blob) {
            self.children.push(child);
        }
    }

    /// The manifest that a blob is.
    pub fn manifest_at(&self, blob: BlobId) -> Option<ManifestId> {
        Some(self.manifest_of[blob as usize]).filter(|id| *id != NONE)
    }

    /// Manifests that a manifest leads to, without its referrers.
    pub fn children(&self, id: ManifestId) -> &[ManifestId] {
        self.children.of(id)
    }

    /// Blobs that a manifest keeps, itself the first, besides the manifests among its children.
    pub fn kept_blobs(&self, id: ManifestId) -> &[BlobId] {
        self.kept.of(id)
    }

    /// Manifests whose config a blob is, or may be when their type is unknown.
    pub fn manifests_with_config(&self, config: BlobId) -> impl Iterator<Item = ManifestId> {
        second_of(&self.configs, config)
    }

    /// Manifests whose subject is this one.
    pub fn referrers(&self, id: ManifestId) -> impl Iterator<Item = ManifestId> {
        second_of(&self.referrers, id)
    }

    /// Tags of a repository that are about a manifest: its signatures and the like.
    pub fn tags_about(
        &self,
        repository: &RepositoryNode,
        id: ManifestId,
    ) -> impl Iterator<Item = u32> {
        second_of(&repository.attached, id)
    }

    /// Bytes on disk; 0 when it is not there.
    pub fn size_bytes(&self, blob: BlobId) -> u64 {
        self.blobs[blob as usize].size_bytes.unwrap_or(0)
    }

    /// The blob with this digest.
    pub fn blob_by_digest(&self, digest: &Digest) -> Option<BlobId> {
        self.blobs.binary_search_by(|blob| blob.digest.cmp(digest)).ok().map(|at| at as u32)
    }

    /// The repository that a tag is in.
    pub fn repository_of_tag(&self, tag: u32) -> &RepositoryNode {
        let place = self.repositories.partition_point(|repository| repository.tags.end <= tag);
        &self.repositories[place]
    }

    /// A repository's tags.
    pub fn tags_of(&self, repository: &RepositoryNode) -> &[TagNode] {
        slice(&self.tags, &repository.tags)
    }

    /// A repository's revisions, sorted.
    pub fn revisions_of(&self, repository: &RepositoryNode) -> &[BlobId] {
        slice(&self.revisions, &repository.revisions)
    }

    /// A repository's layer links.
    pub fn links_of(&self, repository: &RepositoryNode) -> &[LinkNode] {
        slice(&self.links, &repository.links)
    }

    /// Whether the manifest is linked in the repository.
    pub fn is_revision(&self, repository: &RepositoryNode, id: ManifestId) -> bool {
        let blob = self.manifests[id as usize];
        self.revisions_of(repository).binary_search(&blob).is_ok()
    }

    /// What a repository keeps whatever its tags and revisions say, with all that it leads to:
    /// blobs that something unreadable may name, those that external roots name here and, when
    /// the repository is held, all that it links, tags and lists as revisions.
    pub fn fixed_starts<'a>(
        &'a self,
        repository: &'a RepositoryNode,
    ) -> impl Iterator<Item = BlobId> + 'a {
        let all = std::iter::once(repository).filter(|repository| repository.is_held);
        let all = all.flat_map(|repository| {
            let links = self.links_of(repository).iter().flat_map(|link| [link.name, link.target]);
            links.chain(self.named_starts(repository))
        });
        all.chain(repository.held_blobs.iter().copied()).chain(repository.rooted.iter().copied())
    }

    /// What tags point at and what is listed as a revision.
    pub fn named_starts<'a>(
        &'a self,
        repository: &'a RepositoryNode,
    ) -> impl Iterator<Item = BlobId> + 'a {
        let targets = self.tags_of(repository).iter().filter_map(|tag| tag.target);
        self.revisions_of(repository).iter().copied().chain(targets)
    }

    /// Everything that a repository keeps, with all that it leads to.
    pub fn starts<'a>(
        &'a self,
        repository: &'a RepositoryNode,
    ) -> impl Iterator<Item = BlobId> + 'a {
        self.named_starts(repository).chain(self.fixed_starts(repository))
    }
}

/// The second parts of the pairs with this first part, of a sorted list.
pub(super) fn second_of(pairs: &[(u32, u32)], first: u32) -> impl Iterator<Item = u32> {
    let start = pairs.partition_point(|(known, _)| *known < first);
    pairs[start..].iter().take_while(move |(known, _)| *known == first).map(|(_, second)| *second)
}

fn slice<'a, T>(all: &'a [T], range: &Range<u32>) -> &'a [T] {
    &all[range.start as usize..range.end as usize]
}
