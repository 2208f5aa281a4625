//! What a graph is made of: flat lists, filled from the facts of a scan or from the rows of a
//! database.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Digest, HoldScope, Role};

/// A blob's place in digest order.
pub type BlobId = u32;

/// A manifest's place among the manifests, in digest order.
pub type ManifestId = u32;

/// A digest that is present as a blob, or named.
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
    /// When its data was written or its inode changed last, in nanoseconds since 1970.
    pub changed_ns: Option<i64>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagNode {
    /// Its name.
    pub name: String,
    /// What it points at; `None` when its link is missing or cannot be read.
    pub target: Option<BlobId>,
    /// When it was set, in nanoseconds since 1970.
    pub pushed_ns: Option<i64>,
    /// The image that it is about and that it goes and stays with, when its name says so and the
    /// repository has that image. Worked out by the graph.
    pub subject: Option<ManifestId>,
}

/// A layer link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkNode {
    /// The blob that its directory names.
    pub name: BlobId,
    /// The blob that it resolves to.
    pub target: BlobId,
    /// When it was last written, in nanoseconds since 1970.
    pub linked_ns: Option<i64>,
}

/// An upload that was begun and not finished.
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

/// A repository; its parts are ranges of the graph's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryNode {
    /// Its name.
    pub name: String,
    /// Where its tags are, by name.
    pub tags: Range<u32>,
    /// Where its revisions are, by blob.
    pub revisions: Range<u32>,
    /// Where its layer links are, by the digest they name.
    pub links: Range<u32>,
    /// Something in it cannot be read: all that it links is kept. Worked out by the graph.
    pub is_held: bool,
    /// Blobs that are kept because something cannot be read, besides what `is_held` keeps. Worked
    /// out by the graph.
    pub held_blobs: Vec<BlobId>,
    /// Manifests that external roots name here. Worked out by the graph.
    pub rooted: Vec<BlobId>,
    /// Images with the tags that are about them, sorted. Worked out by the graph.
    pub attached: Vec<(ManifestId, u32)>,
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
    /// The registry need not hold it.
    pub is_external: bool,
}

/// Something that is kept because something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How much is kept.
    pub scope: HoldScope,
    /// The repository's place, if it is about one.
    pub repository: Option<u32>,
    /// The blob, for the scope of one.
    pub blob: Option<BlobId>,
}

/// Something that somebody outside of the storage refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalRoot {
    /// The repository in which it is referred to; anywhere when `None`.
    pub repository: Option<u32>,
    /// What is referred to: kept with all that it names.
    pub blob: BlobId,
    /// Its revisions are kept, too, wherever it has any.
    pub keeps_revisions: bool,
}

/// The rows behind a graph, sorted as the tables are.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// By digest; the place is the id. Whoever only looks digests up shares them while the rest is read.
    pub blobs: Arc<Vec<BlobNode>>,
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
    /// Uploads of all repositories, by repository and name.
    pub uploads: Vec<UploadNode>,
    /// What is kept because something cannot be read.
    pub holds: Vec<Hold>,
    /// What is kept because somebody outside of the storage refers to it.
    pub roots: Vec<ExternalRoot>,
    /// Tags on disk keep nothing: only external roots do.
    pub ignores_tags: bool,
}

impl Parts {
    /// Puts the empty range of a repository that has nothing between its neighbours'.
    pub(super) fn close_gaps(&mut self) {
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

/// Lists of numbers, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
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

    pub fn push(&mut self, item: u32) {
        self.items.push(item);
    }

    pub fn end_list(&mut self) {
        self.ends.push(self.items.len() as u32);
    }
}
