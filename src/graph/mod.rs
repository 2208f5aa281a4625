//! Who reaches what, and what would come free: pure arithmetic over integer ids.
//!
//! A blob's id is its rank in digest order among all digests that are present or named. Edges run
//! from a manifest to what it names (except its subject), from a subject to its referrers in the
//! same repository, and from an alias to the blob that the registry resolves it to.

mod account;
mod build;
mod closure;
mod findings;
mod kinds;
mod roots;

pub use account::{Accounts, BlobAccount, RepositoryAccount, RevisionAccount, TagAccount, account};
pub use build::build;
pub use findings::{STALE_UPLOAD_NS, graph_findings};
pub use kinds::{BlobDescription, BlobKind, describe_blobs};
pub use roots::blob_path;

use std::collections::HashMap;

use crate::model::{Code, Digest, Severity};
use crate::scan::{
    HoldScope, ManifestBody, NumberedLink, NumberedTag, ReferenceFacts, RepositoryFacts,
    UploadFacts,
};
use crate::storage::Layout;

/// A blob's place in digest order.
pub type BlobId = u32;

/// A manifest's place among the manifests, in digest order.
pub type ManifestId = u32;

/// A set of digests and what they name.
pub struct Graph {
    /// Every digest, sorted; the place is the id.
    pub digests: Vec<Digest>,
    /// Facts of present blobs.
    pub files: Vec<Option<BlobFile>>,
    /// Manifests in digest order.
    pub manifests: Vec<GraphManifest>,
    /// Which manifest a blob is.
    pub manifest_of: HashMap<BlobId, ManifestId, foldhash::fast::RandomState>,
    /// What the registry resolves a digest to, other than itself; sorted.
    pub aliases: HashMap<BlobId, Vec<BlobId>, foldhash::fast::RandomState>,
    /// Manifests by the subject that they name.
    pub referrers: HashMap<BlobId, Vec<ManifestId>, foldhash::fast::RandomState>,
    /// Repositories by name.
    pub repositories: Vec<GraphRepository>,
    /// What must be kept because something cannot be read.
    pub roots: Vec<UnreadableRoot>,
    /// Blobs that no manifest names and that begin as a manifest does, sorted.
    pub maybe_manifests: Vec<BlobId>,
    /// Where things lie in the storage.
    pub layout: Layout,
    /// Missing blobs are normal here.
    pub is_pull_through: bool,
    /// Texts of media types.
    pub media_types: Vec<String>,
    /// Texts of platforms.
    pub platforms: Vec<String>,
    /// Texts of build commands.
    pub build_steps: Vec<String>,
}

/// A blob's `data`.
#[derive(Clone, Copy, Debug)]
pub struct BlobFile {
    /// Its size.
    pub size_bytes: u64,
    /// Its mtime.
    pub modified_ns: i64,
    /// Its ctime.
    pub changed_ns: i64,
}

/// A manifest.
#[derive(Debug)]
pub struct GraphManifest {
    /// Its blob.
    pub blob: BlobId,
    /// What it says. References hold blob ids.
    pub body: Option<ManifestBody>,
    /// Why it may name more than what is known of it.
    pub fault: Option<(Code, String)>,
    /// Nothing that is kept leads to it.
    pub is_orphan: bool,
}

impl GraphManifest {
    /// What it names.
    pub fn references(&self) -> &[ReferenceFacts] {
        self.body.as_ref().map_or(&[], |body| &body.references)
    }

    /// Whether it cannot be served or understood. One of an unknown type can.
    pub fn is_broken(&self) -> bool {
        self.fault.as_ref().is_some_and(|(code, _)| code.severity() == Severity::Error)
    }
}

/// A repository.
pub struct GraphRepository {
    /// Its name.
    pub name: String,
    /// What the walk saw, less the parts that stand below as ids.
    pub facts: RepositoryFacts,
    /// Revisions by blob id.
    pub revisions: Vec<GraphLink>,
    /// Tags by name.
    pub tags: Vec<GraphTag>,
    /// Layer links by the id of the digest they name.
    pub layer_links: Vec<GraphLink>,
    /// Uploads by name.
    pub uploads: Vec<UploadFacts>,
    /// Something in it cannot be read: all that it links is kept.
    pub is_held: bool,
}

/// A link whose numbers are blob ids.
pub type GraphLink = NumberedLink;

/// A tag whose numbers are blob ids.
pub type GraphTag = NumberedTag;

/// Something that is kept because something cannot be read.
#[derive(Clone, Debug)]
pub struct UnreadableRoot {
    /// How much is kept.
    pub scope: HoldScope,
    /// The repository's place, if it is about one.
    pub repository: Option<u32>,
    /// The blob, for the scope of one.
    pub blob: Option<BlobId>,
    /// The finding behind it.
    pub code: Code,
    /// Where, below the registry's root.
    pub path: String,
}

impl Graph {
    /// Whether the blob, or what the registry resolves it to, is there.
    pub fn is_available(&self, blob: BlobId) -> bool {
        self.files[blob as usize].is_some()
            || self.aliases.get(&blob).is_some_and(|targets| {
                targets.iter().any(|target| self.files[*target as usize].is_some())
            })
    }

    /// Bytes on disk; 0 when it is not there.
    pub fn size_bytes(&self, blob: BlobId) -> u64 {
        self.files[blob as usize].map_or(0, |file| file.size_bytes)
    }

    /// The manifest that a blob is, directly or through an alias.
    pub fn manifest_at(&self, blob: BlobId) -> Option<ManifestId> {
        self.manifest_of.get(&blob).copied()
    }

    /// Whether a revision that cannot be listed may lead to the blob: it is a manifest, or begins
    /// like one.
    pub fn may_be_manifest(&self, blob: BlobId) -> bool {
        self.manifest_of.contains_key(&blob) || self.maybe_manifests.binary_search(&blob).is_ok()
    }

    /// Whether an unknown repository may need any blob.
    pub fn is_storage_held(&self) -> bool {
        self.roots.iter().any(|root| root.scope == HoldScope::Storage)
    }

    /// Whether a blob that may be a manifest may be needed, with all it names.
    pub fn are_manifests_held(&self) -> bool {
        self.roots.iter().any(|root| root.scope == HoldScope::Manifests)
    }
}
