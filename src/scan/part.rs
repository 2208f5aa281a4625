//! Parts of a storage that a scan passes over because they are as the last one saw them. What makes
//! that safe stands in `known`.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{Digest, text_of};
use crate::storage::{DirectoryStamp, Storage, Usage};

use super::Depth;
use super::owner::Owner;

/// Counts up with every change to what is encoded here or to what a body is read as.
const FORMAT: u32 = 4;

/// What has to be the same for the next scan to pass a part over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPart {
    /// Of the directories whose entries need no look as long as these are equal.
    pub stamps: Vec<DirectoryStamp>,
    /// Hash over what a quick look at every entry sees.
    pub quick: [u8; 32],
    /// Hash over all that a full look saw.
    pub fingerprint: [u8; 32],
    /// What its files take on the disk.
    pub usage: Usage,
}

/// How a part of the storage was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// It was passed over: the last scan's facts hold.
    pub is_same: bool,
    /// For the next scan; `None` when that must look at it in full.
    pub known: Option<KnownPart>,
    /// What its files take on the disk.
    pub usage: Usage,
}

impl Part {
    /// One that is as the last scan saw it.
    pub fn same(known: &KnownPart) -> Self {
        Self { is_same: true, known: Some(known.clone()), usage: known.usage }
    }
}

/// The parts that the last scan knew, by their path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownParts {
    format: u32,
    owner: Option<u32>,
    /// Of the other two sections.
    pub(super) sha256: [u8; 32],
    parts: BTreeMap<String, KnownPart>,
    /// Blobs that were read so soon after their last change that another one would not show.
    pub(super) unsettled: Vec<UnsettledRead>,
}

/// What was read of a blob whose times do not prove yet that it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct UnsettledRead {
    /// The blob's sha256.
    pub blob: [u8; 32],
    /// How many bytes were asked for.
    pub limit: u64,
    /// The sha256 of what was read.
    pub content: [u8; 32],
}

impl KnownParts {
    /// `None` when they are damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok().filter(|known: &Self| known.format == FORMAT)
    }

    pub(super) fn new(owner: Owner) -> Self {
        Self {
            format: FORMAT,
            owner: owner.number(),
            sha256: [0; 32],
            parts: BTreeMap::new(),
            unsettled: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, path: &Path, part: &Part) {
        if let Some(known) = &part.known {
            self.parts.insert(text_of(path.as_os_str()), known.clone());
        }
    }

    /// These parts beside the contents that the last scan left, and what it read too soon.
    pub(super) fn beside_contents_of(mut self, last: &Self) -> Self {
        self.sha256 = last.sha256;
        self.unsettled.clone_from(&last.unsettled);
        self
    }

    /// Whether files that the last scan read soon after their last change still say the same.
    pub fn have_stayed(&self, storage: &dyn Storage) -> bool {
        self.unsettled.par_iter().all(|read| {
            let path = storage.layout().blob_data(&Digest::Sha256(read.blob).encoded());
            storage.read(&path, read.limit).is_ok_and(|content| {
                <[u8; 32]>::from(Sha256::digest(&content.bytes)) == read.content
            })
        })
    }

    /// As they are stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }
}

/// How the walk looks at the storage.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Where.
    pub storage: &'a dyn Storage,
    /// How closely.
    pub depth: Depth,
    /// What the last scan knew; `None` to look at everything in full.
    pub known: Option<&'a KnownParts>,
    /// Equal stamps of directories prove that their entries are the same.
    pub trusts_directories: bool,
    /// What is newer may change once more without showing it.
    pub settled_before_ns: i64,
    pub(super) owner: Owner,
}

impl<'a> Look<'a> {
    /// A look at everything, which leaves no part for the next scan.
    pub fn full(storage: &'a dyn Storage, depth: Depth) -> Self {
        let owner = Owner::of(storage);
        let settled_before_ns = i64::MIN;
        Self { storage, depth, known: None, trusts_directories: false, settled_before_ns, owner }
    }

    /// The same without anything known.
    #[must_use]
    pub fn without_known(self) -> Self {
        Self { known: None, ..self }
    }

    /// What the last scan knew of the part at `path`. A deep look passes over nothing.
    pub(super) fn known_part(&self, path: &Path) -> Option<&'a KnownPart> {
        let known = self.known.filter(|_| self.depth == Depth::Full)?;
        (known.owner == self.owner.number())
            .then(|| known.parts.get(&text_of(path.as_os_str())))
            .flatten()
    }

    /// Whether the directories have the stamps that `known` has.
    pub(super) fn has_stamps(&self, known: &KnownPart, directories: &[&Path]) -> bool {
        self.trusts_directories
            && known.stamps.len() == directories.len()
            && known.stamps.iter().zip(directories).all(|(stamp, directory)| {
                matches!(self.storage.stamp(directory), Ok(Some(now)) if now == *stamp)
            })
    }

    /// The stamps of directories, to be taken before they are listed; `None` where they prove
    /// nothing.
    pub(super) fn stamps(&self, directories: &[&Path]) -> Option<Vec<DirectoryStamp>> {
        directories.iter().map(|directory| self.storage.stamp(directory).ok().flatten()).collect()
    }

    /// Whether a later change shows in the times.
    pub(super) fn is_settled(&self, newest_ns: i64) -> bool {
        newest_ns < self.settled_before_ns
    }
}
