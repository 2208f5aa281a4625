//! Everything that a scan knows of a storage, with links and references resolved to ids: what is
//! written to the database, and what the flat graph ([`crate::graph`]) is made of.
//!
//! A blob's id is its rank in digest order among all digests that are present or named.

mod bases;
mod build;
mod builds;
mod findings;
mod holds;
mod kinds;
mod verdict;

pub use bases::{BaseImage, base_images};
pub use build::build;
pub use builds::{ChangingStep, changing_steps};
pub use findings::{STALE_UPLOAD_NS, catalog_findings};
pub use holds::blob_path;
pub use kinds::{BlobDescription, BlobKind, describe_blobs};
pub use verdict::{TagVerdict, tag_verdicts};

use std::collections::HashMap;

use super::body::{ManifestBody, ReferenceFacts};
use super::facts::{HoldScope, NumberedLink, NumberedTag, RepositoryFacts, UploadFacts};
use crate::graph::{
    BlobId, BlobNode, Edge, ExternalRoot, Graph, Hold, LinkNode, ManifestId, Parts, RepositoryNode,
    TagNode, UploadNode,
};
use crate::model::{Code, Digest, ManifestKind, Role, Severity};
use crate::storage::Layout;

/// A set of digests and what they name.
pub struct Catalog {
    /// Every digest, sorted; the place is the id.
    pub digests: Vec<Digest>,
    /// Facts of present blobs.
    pub files: Vec<Option<BlobFile>>,
    /// Manifests in digest order.
    pub manifests: Vec<CatalogManifest>,
    /// Which manifest a blob is.
    pub manifest_of: HashMap<BlobId, ManifestId, foldhash::fast::RandomState>,
    /// What the registry resolves a digest to, other than itself; sorted.
    pub aliases: HashMap<BlobId, Vec<BlobId>, foldhash::fast::RandomState>,
    /// Repositories by name.
    pub repositories: Vec<CatalogRepository>,
    /// What must be kept because something cannot be read.
    pub roots: Vec<UnreadableRoot>,
    /// What somebody outside of the storage refers to.
    pub external_roots: Vec<ExternalRoot>,
    /// Tags on disk keep nothing: only external roots do.
    pub ignores_tags: bool,
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
    /// Its inode; 0 where storages have none.
    pub inode: u64,
}

/// A manifest.
#[derive(Debug)]
pub struct CatalogManifest {
    /// Its blob.
    pub blob: BlobId,
    /// What it says. References hold blob ids.
    pub body: Option<ManifestBody>,
    /// Why it may name more than what is known of it.
    pub fault: Option<(Code, String)>,
    /// Nothing that is kept leads to it.
    pub is_orphan: bool,
}

impl CatalogManifest {
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
pub struct CatalogRepository {
    /// Its name.
    pub name: String,
    /// What the walk saw, less the parts that stand below as ids.
    pub facts: RepositoryFacts,
    /// Revisions by blob id.
    pub revisions: Vec<CatalogLink>,
    /// Tags by name.
    pub tags: Vec<CatalogTag>,
    /// Layer links by the id of the digest they name.
    pub layer_links: Vec<CatalogLink>,
    /// Uploads by name.
    pub uploads: Vec<UploadFacts>,
    /// Something in it cannot be read: all that it links is kept.
    pub is_held: bool,
}

/// A link whose numbers are blob ids.
pub type CatalogLink = NumberedLink;

/// A tag whose numbers are blob ids.
pub type CatalogTag = NumberedTag;

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

impl Catalog {
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

    /// When each manifest was built, in nanoseconds since 1970, as configs say: an index is as new as the
    /// newest manifest in it.
    pub fn created_ns(&self) -> Vec<Option<i64>> {
        let of_body = |manifest: &CatalogManifest| manifest.body.as_ref()?.created_ns;
        let mut created_ns: Vec<Option<i64>> = self.manifests.iter().map(of_body).collect();
        for (at, manifest) in self.manifests.iter().enumerate() {
            let kind = manifest.body.as_ref().map(|body| body.kind);
            if kind == Some(ManifestKind::Index) && created_ns[at].is_none() {
                let named = manifest.references().iter();
                let named = named.filter(|reference| reference.role == Role::Manifest);
                let children = named.filter_map(|reference| self.manifest_at(reference.blob));
                created_ns[at] = children.filter_map(|child| created_ns[child as usize]).max();
            }
        }
        created_ns
    }

    /// Whether a revision that cannot be listed may lead to the blob: it is a manifest, or begins
    /// like one.
    pub fn may_be_manifest(&self, blob: BlobId) -> bool {
        self.manifest_of.contains_key(&blob) || self.maybe_manifests.binary_search(&blob).is_ok()
    }

    /// The same as flat lists, for every question about who keeps what.
    pub fn graph(&self) -> Graph {
        Graph::new(self.parts())
    }

    /// What the graph is made of.
    pub fn parts(&self) -> Parts {
        let mut parts = Parts {
            blobs: self.blob_nodes().into(),
            manifests: self.manifests.iter().map(|manifest| manifest.blob).collect(),
            edges: self.edges(),
            aliases: self.sorted_aliases(),
            holds: self.holds(),
            roots: self.external_roots.clone(),
            ignores_tags: self.ignores_tags,
            ..Parts::default()
        };
        for repository in &self.repositories {
            add_repository(&mut parts, repository);
        }
        parts
    }

    fn blob_nodes(&self) -> Vec<BlobNode> {
        let layers = kinds::named_as_layers(self);
        let blobs = (0..).zip(self.digests.iter().zip(&self.files).zip(layers));
        let node =
            |(blob, ((digest, file), is_layer)): (BlobId, ((&Digest, &Option<BlobFile>), bool))| {
                BlobNode {
                    digest: digest.clone(),
                    size_bytes: file.map(|file| file.size_bytes),
                    may_be_manifest: self.may_be_manifest(blob),
                    is_layer,
                    changed_ns: file.map(|file| file.modified_ns.max(file.changed_ns)),
                }
            };
        blobs.map(node).collect()
    }

    fn edges(&self) -> Vec<Edge> {
        let edges = self.manifests.iter().flat_map(|manifest| {
            manifest.references().iter().map(|reference| Edge {
                manifest: manifest.blob,
                role: reference.role,
                blob: reference.blob,
                is_external: reference.is_external,
            })
        });
        edges.collect()
    }

    /// What the registry resolves a digest to, by both.
    pub fn sorted_aliases(&self) -> Vec<(BlobId, BlobId)> {
        let pairs = self.aliases.iter();
        let pairs = pairs.flat_map(|(name, targets)| targets.iter().map(|target| (*name, *target)));
        let mut pairs: Vec<(BlobId, BlobId)> = pairs.collect();
        pairs.sort_unstable();
        pairs
    }

    fn holds(&self) -> Vec<Hold> {
        let hold = |root: &UnreadableRoot| Hold {
            scope: root.scope,
            repository: root.repository,
            blob: root.blob,
        };
        self.roots.iter().map(hold).collect()
    }
}

fn add_repository(parts: &mut Parts, repository: &CatalogRepository) {
    let place = parts.repositories.len() as u32;
    let first = |length: usize| length as u32;
    let (tags, revisions, links) =
        (first(parts.tags.len()), first(parts.revisions.len()), first(parts.links.len()));
    parts.tags.extend(repository.tags.iter().map(|tag| TagNode {
        name: tag.name.clone(),
        target: tag.target,
        pushed_ns: tag.modified_ns,
        subject: None,
    }));
    parts.revisions.extend(repository.revisions.iter().map(|revision| revision.name));
    let pushed = repository.revisions.iter().map(|revision| Some(revision.modified_ns));
    parts.revisions_pushed_ns.extend(pushed);
    parts.links.extend(repository.layer_links.iter().map(|link| LinkNode {
        name: link.name,
        target: link.target,
        linked_ns: Some(link.modified_ns),
    }));
    parts.uploads.extend(repository.uploads.iter().map(|upload| UploadNode {
        repository: place,
        upload_id: upload.id.clone(),
        size_bytes: upload.size_bytes,
        active_ns: upload.active_ns,
    }));
    parts.repositories.push(RepositoryNode {
        name: repository.name.clone(),
        tags: tags..first(parts.tags.len()),
        revisions: revisions..first(parts.revisions.len()),
        links: links..first(parts.links.len()),
        ..RepositoryNode::default()
    });
}
