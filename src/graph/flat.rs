//! The one graph: lists of integers with the edges sorted by what they keep.

use std::ops::Range;
use std::sync::Arc;

use super::parts::{
    BlobId, BlobNode, LinkNode, Lists, ManifestId, RepositoryNode, TagNode, UploadNode,
};
use crate::model::Digest;

/// Marks a blob that is no manifest.
pub(super) const NONE: u32 = u32::MAX;

/// A storage as integers, with aliases followed. Lists are sorted as [`Parts`](super::Parts) are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// By digest; the place is the id.
    pub blobs: Arc<Vec<BlobNode>>,
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
    pub(super) manifest_of: Vec<u32>,
    pub(super) children: Lists,
    pub(super) kept: Lists,
    /// Configs, and what unknown manifests name, by that blob; sorted.
    pub(super) configs: Vec<(BlobId, ManifestId)>,
    /// Manifests about another one, by that one; both sorted.
    pub(super) referrers: Vec<(ManifestId, ManifestId)>,
    pub(super) holds: Holds,
    pub(super) ignores_tags: bool,
}

/// Holds beyond one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    pub(super) is_storage_held: bool,
    pub(super) has_hidden_revisions: bool,
    /// One for each blob; empty when nothing is kept so.
    pub(super) kept: Vec<bool>,
}

impl Graph {
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

    /// Whether the blob stays whatever repositories say.
    pub fn is_kept_everywhere(&self, blob: BlobId) -> bool {
        self.holds.is_storage_held || self.holds.kept.get(blob as usize).copied().unwrap_or(false)
    }

    /// Blobs that stay whatever repositories say; none when that is all of them.
    pub fn kept_everywhere(&self) -> impl Iterator<Item = BlobId> {
        let kept = (0..).zip(&self.holds.kept).filter(|(_, is_kept)| **is_kept);
        kept.map(|(blob, _)| blob)
    }

    /// Whether an unknown repository may need any blob.
    pub fn is_storage_held(&self) -> bool {
        self.holds.is_storage_held
    }

    /// Whether there are revisions that could not be listed.
    pub fn has_hidden_revisions(&self) -> bool {
        self.holds.has_hidden_revisions
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
