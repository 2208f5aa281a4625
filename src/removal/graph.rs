//! What a snapshot says of who leads to what, as flat lists of numbers: enough to tell what a
//! deletion frees, and small enough to be read from the tables for every question.

use std::ops::Range;

use crate::graph::{BlobId, ManifestId};
use crate::model::{Digest, Role};

/// Marks a blob that is no manifest.
const NONE: u32 = u32::MAX;

/// Lists of numbers, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// List number `at`.
    pub fn of(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.items[start as usize..self.ends[at] as usize]
    }

    fn push(&mut self, item: u32) {
        self.items.push(item);
    }

    fn end_list(&mut self) {
        self.ends.push(self.items.len() as u32);
    }
}

/// A blob of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobNode {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes, when it is on disk.
    pub size_bytes: Option<u64>,
    /// It is a manifest, or begins like one.
    pub may_be_manifest: bool,
    /// A manifest names it as a layer.
    pub is_layer: bool,
    /// It is on disk, and nothing that is kept reaches it.
    pub is_orphan: bool,
    /// When its data was written or its inode changed last, in nanoseconds since 1970.
    pub changed_ns: Option<i64>,
}

/// A tag of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagNode {
    /// Its name.
    pub name: String,
    /// What it points at; `None` when its link is missing or cannot be read.
    pub target: Option<BlobId>,
    /// When it was set, in nanoseconds since 1970.
    pub pushed_ns: Option<i64>,
}

/// A layer link of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkNode {
    /// The blob that its directory names.
    pub name: BlobId,
    /// The blob that it resolves to.
    pub target: BlobId,
    /// Something that is kept in its repository needs it.
    pub is_needed: bool,
    /// When it was last written, in nanoseconds since 1970.
    pub linked_ns: Option<i64>,
}

/// An upload of a snapshot that was begun and not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadNode {
    /// Its repository's place.
    pub repository: u32,
    /// Its directory's name.
    pub upload_id: String,
    /// Bytes received.
    pub size_bytes: u64,
    /// The last sign of life, in nanoseconds since 1970; `None` when no time is known.
    pub active_ns: Option<i64>,
}

/// A repository of a snapshot; its parts are ranges of the graph's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryNode {
    /// Its name.
    pub name: String,
    /// Something in it cannot be read: all that it links is kept.
    pub is_held: bool,
    /// Where its tags are, by name.
    pub tags: Range<u32>,
    /// Where its revisions are, by blob.
    pub revisions: Range<u32>,
    /// Where its layer links are.
    pub links: Range<u32>,
    /// Blobs that are kept with all they name, because something cannot be read.
    pub held_blobs: Vec<BlobId>,
}

/// One thing that a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The manifest's blob.
    pub manifest: BlobId,
    /// What part it plays.
    pub role: Role,
    /// What is named.
    pub blob: BlobId,
}

/// The rows behind a graph, sorted as the tables are.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// By digest; the place is the id.
    pub blobs: Vec<BlobNode>,
    /// Blobs that are manifests, sorted.
    pub manifests: Vec<BlobId>,
    /// By manifest.
    pub edges: Vec<Edge>,
    /// What the registry resolves a digest to, sorted.
    pub aliases: Vec<(BlobId, BlobId)>,
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
    /// An unknown repository may need any blob.
    pub is_storage_held: bool,
    /// An unknown revision may be any blob that is small enough to be a manifest.
    pub are_manifests_held: bool,
}

impl Parts {
    /// Puts the empty range of a repository that has nothing between its neighbours'.
    fn close_gaps(&mut self) {
        let ends: [fn(&mut RepositoryNode) -> &mut Range<u32>; 3] =
            [|node| &mut node.tags, |node| &mut node.revisions, |node| &mut node.links];
        for range_of in ends {
            let mut end = 0;
            for repository in &mut self.repositories {
                let range = range_of(repository);
                if range.start == range.end {
                    *range = end..end;
                }
                end = range.end;
            }
        }
    }
}

/// A snapshot, ready to be asked what a deletion frees. The edges are those of
/// [`crate::graph::Graph`], with aliases already followed.
#[derive(Clone, Debug)]
pub struct StoredGraph {
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
    is_storage_held: bool,
    are_manifests_held: bool,
}

impl StoredGraph {
    /// Follows aliases and sorts edges by what they keep.
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
            is_storage_held: parts.is_storage_held,
            are_manifests_held: parts.are_manifests_held,
        };
        graph.connect(&parts.edges, &parts.aliases);
        graph
    }

    /// As `for_each_child` and `for_each_kept_blob` of [`crate::graph`] walk them.
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
                let may_be_child = matches!(edge.role, Role::Manifest | Role::Blob);
                let is_child = may_be_child && self.manifest_at(edge.blob).is_some();
                if is_child {
                    self.push_child(edge.blob);
                } else {
                    self.kept.push(edge.blob);
                }
                for alias in aliases_of(edge.blob) {
                    if may_be_child {
                        self.push_child(alias);
                    }
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
        let start = self.configs.partition_point(|(blob, _)| *blob < config);
        let rest = self.configs[start..].iter();
        rest.take_while(move |(blob, _)| *blob == config).map(|(_, manifest)| *manifest)
    }

    /// Manifests that are about this one.
    pub fn referrers(&self, id: ManifestId) -> impl Iterator<Item = ManifestId> {
        let start = self.referrers.partition_point(|(subject, _)| *subject < id);
        let rest = self.referrers[start..].iter();
        rest.take_while(move |(subject, _)| *subject == id).map(|(_, referrer)| *referrer)
    }

    /// Bytes on disk; 0 when it is not there.
    pub fn size_bytes(&self, blob: BlobId) -> u64 {
        self.blobs[blob as usize].size_bytes.unwrap_or(0)
    }

    /// Whether something that cannot be read may need the blob, whatever repositories say.
    pub fn is_held_globally(&self, blob: BlobId) -> bool {
        self.is_storage_held || self.are_manifests_held && self.blobs[blob as usize].may_be_manifest
    }

    /// Whether an unknown repository may need any blob.
    pub fn is_storage_held(&self) -> bool {
        self.is_storage_held
    }

    /// Whether an unknown revision may be any blob that is small enough.
    pub fn are_manifests_held(&self) -> bool {
        self.are_manifests_held
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

    /// Blobs that a repository keeps whatever its manifests say: those that something unreadable
    /// names, and, when it is held, all that it links.
    pub fn held_blobs<'a>(
        &'a self,
        repository: &'a RepositoryNode,
    ) -> impl Iterator<Item = BlobId> + 'a {
        let links = self.links_of(repository).iter().filter(|_| repository.is_held);
        let links = links.flat_map(|link| [link.name, link.target]);
        links.chain(repository.held_blobs.iter().copied())
    }
}

fn slice<'a, T>(all: &'a [T], range: &Range<u32>) -> &'a [T] {
    &all[range.start as usize..range.end as usize]
}
