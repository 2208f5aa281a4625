//! One thing that can be deleted, by its place in the graph; its repository, its digest, its name.

use super::flat::Graph;
use super::parts::{BlobId, LinkNode, RepositoryNode};
use crate::model::{Digest, Kind, Name};

/// A thing by its place in the list of its kind: a tag's in [`Graph::tags`] and so on, a corrupt
/// blob's in [`Graph::blobs`]. Leftovers and entries of tags'
/// histories are no part of a graph: their places are in a plan's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its place.
    pub at: u32,
}

impl Item {
    /// The thing of a kind at a place.
    pub fn new(kind: Kind, at: u32) -> Self {
        Self { kind, at }
    }
}

impl Graph {
    /// How many things of a kind there are; none of what is no part of a graph.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Tag => self.tags.len(),
            Kind::Revision => self.revisions.len(),
            Kind::LayerLink => self.links.len(),
            Kind::Upload => self.uploads.len(),
            Kind::Blob | Kind::CorruptBlob => self.blobs.len(),
            Kind::Leftover | Kind::TagHistory => 0,
            Kind::Repository => self.repositories.len(),
        }
    }

    /// The place of the repository that a thing is in.
    pub fn repository_of(&self, item: Item) -> Option<u32> {
        let end: fn(&RepositoryNode) -> u32 = match item.kind {
            Kind::Tag => |repository| repository.tags.end,
            Kind::Revision => |repository| repository.revisions.end,
            Kind::LayerLink => |repository| repository.links.end,
            Kind::Upload => return Some(self.uploads[item.at as usize].repository),
            Kind::Repository => return Some(item.at),
            Kind::Blob | Kind::CorruptBlob | Kind::Leftover | Kind::TagHistory => return None,
        };
        Some(self.repositories.partition_point(|repository| end(repository) <= item.at) as u32)
    }

    /// The blob that a thing names: what a tag points at, the digest of a link's directory.
    pub fn blob_of(&self, item: Item) -> Option<BlobId> {
        match item.kind {
            Kind::Tag => self.tags[item.at as usize].target,
            Kind::Revision => Some(self.revisions[item.at as usize]),
            Kind::LayerLink => Some(self.links[item.at as usize].name),
            Kind::Blob | Kind::CorruptBlob => Some(item.at),
            Kind::Upload | Kind::Leftover | Kind::TagHistory | Kind::Repository => None,
        }
    }

    /// The digest of [`Self::blob_of`].
    pub fn digest_of(&self, item: Item) -> Option<&Digest> {
        Some(&self.blobs[self.blob_of(item)? as usize].digest)
    }

    /// When it was last pushed, linked, written or active, in nanoseconds since 1970.
    pub fn changed_ns_of(&self, item: Item) -> Option<i64> {
        let at = item.at as usize;
        match item.kind {
            Kind::Tag => self.tags[at].pushed_ns,
            Kind::Revision => self.revisions_pushed_ns[at],
            Kind::LayerLink => self.links[at].linked_ns,
            Kind::Upload => self.uploads[at].active_ns,
            Kind::Blob | Kind::CorruptBlob => self.blobs[at].changed_ns,
            Kind::Leftover | Kind::TagHistory | Kind::Repository => None,
        }
    }

    /// Bytes of its data on disk: 0 for what only leads to data.
    pub fn size_bytes_of(&self, item: Item) -> u64 {
        match item.kind {
            Kind::Upload => self.uploads[item.at as usize].size_bytes,
            Kind::Blob | Kind::CorruptBlob => self.size_bytes(item.at),
            _ => 0,
        }
    }

    /// Its name; `others` are the names of what is no part of a graph.
    pub fn name_of(&self, item: Item, others: &[Name]) -> Name {
        let at = item.at as usize;
        let repository = || {
            let place = self.repository_of(item).unwrap_or_default();
            self.repositories[place as usize].name.clone()
        };
        let digest = |blob: BlobId| self.blobs[blob as usize].digest.to_string();
        match item.kind {
            Kind::Tag => Name::Tag {
                repository: repository(),
                tag: self.tags[at].name.clone(),
                manifest_digest: self.tags[at].target.map(digest),
            },
            Kind::Revision => Name::Revision {
                repository: repository(),
                manifest_digest: digest(self.revisions[at]),
            },
            Kind::LayerLink => {
                let LinkNode { name, .. } = self.links[at];
                Name::LayerLink { repository: repository(), link_digest: digest(name) }
            }
            Kind::Upload => Name::Upload {
                repository: repository(),
                upload_id: self.uploads[at].upload_id.clone(),
                size_bytes: self.size_bytes_of(item),
            },
            Kind::Blob => {
                Name::Blob { blob_digest: digest(item.at), size_bytes: self.size_bytes_of(item) }
            }
            Kind::CorruptBlob => Name::CorruptBlob {
                blob_digest: digest(item.at),
                size_bytes: self.size_bytes_of(item),
            },
            Kind::Leftover | Kind::TagHistory => others[at].clone(),
            Kind::Repository => Name::Repository { repository: repository() },
        }
    }
}
