//! Small random storages, as a catalog, and their way through the tables and back.

use std::collections::HashMap;

use proptest::prelude::*;
use rusqlite::Connection;

use crate::db;
use crate::graph::{BlobId, ExternalRoot, Graph, account};
use crate::model::{Code, Digest, HoldScope, ManifestKind, Role};
use crate::scan::{
    BlobFile, Catalog, CatalogLink, CatalogManifest, CatalogRepository, CatalogTag, DeclaredBytes,
    ManifestBody, ReferenceFacts, RepositoryFacts, UnreadableRoot, tag_verdicts,
};
use crate::storage::Layout;

pub const LAYERS: usize = 7;
const MANIFESTS: usize = 8;

/// What a random storage is made of; numbers wrap around.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `None` is a layer that is gone.
    pub layers: Vec<Option<u64>>,
    pub manifests: Vec<ManifestPlan>,
    pub repositories: Vec<RepositoryPlan>,
    /// Layers that the registry resolves to other ones.
    pub aliases: Vec<(usize, usize)>,
    pub is_storage_held: bool,
    /// Manifests that somebody outside refers to, in a repository or anywhere.
    pub roots: Vec<(Option<usize>, usize)>,
}

#[derive(Clone, Debug)]
pub struct ManifestPlan {
    pub bytes: u64,
    /// Manifests before this one.
    pub children: Vec<usize>,
    pub layers: Vec<usize>,
    pub subject: Option<usize>,
    pub is_present: bool,
}

#[derive(Clone, Debug)]
pub struct TagPlan {
    pub target: Option<usize>,
    /// The manifest that it is about by its name.
    pub about: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct RepositoryPlan {
    pub revisions: Vec<usize>,
    pub tags: Vec<TagPlan>,
    pub links: Vec<usize>,
    pub hold: Option<HoldScope>,
    pub held: Option<usize>,
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let some = |from, most| prop::collection::vec(0..from, 0..most);
    let manifest = (
        1_u64..50,
        some(MANIFESTS, 3),
        some(LAYERS, 4),
        prop::option::weighted(0.2, 0..MANIFESTS),
        prop::bool::weighted(0.95),
    )
        .prop_map(|(bytes, children, layers, subject, is_present)| ManifestPlan {
            bytes,
            children,
            layers,
            subject,
            is_present,
        });
    let tag =
        (prop::option::weighted(0.95, 0..MANIFESTS), prop::option::weighted(0.2, 0..MANIFESTS))
            .prop_map(|(target, about)| TagPlan { target, about });
    let scope = prop_oneof![Just(HoldScope::Repository), Just(HoldScope::Manifests)];
    let repository = (
        some(MANIFESTS, MANIFESTS),
        prop::collection::vec(tag, 0..6),
        some(LAYERS, LAYERS),
        prop::option::weighted(0.12, scope),
        prop::option::weighted(0.08, 0..MANIFESTS),
    )
        .prop_map(|(revisions, tags, links, hold, held)| RepositoryPlan {
            revisions,
            tags,
            links,
            hold,
            held,
        });
    let root = (prop::option::of(0_usize..3), 0..MANIFESTS);
    (
        prop::collection::vec(prop::option::weighted(0.95, 100_u64..10_000), LAYERS),
        prop::collection::vec(manifest, MANIFESTS),
        prop::collection::vec(repository, 1..4),
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((0..LAYERS, 0..LAYERS), 1..4)],
        prop::bool::weighted(0.02),
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(root, 1..3)],
    )
        .prop_map(|(layers, manifests, repositories, aliases, is_storage_held, roots)| Plan {
            layers,
            manifests,
            repositories,
            aliases,
            is_storage_held,
            roots,
        })
}

fn manifest_blob(manifest: usize) -> BlobId {
    (LAYERS + manifest) as BlobId
}

fn digest(blob: BlobId) -> Digest {
    Digest::Sha256([blob as u8; 32])
}

fn link(blob: usize) -> CatalogLink {
    CatalogLink { name: blob as u32, target: blob as u32, modified_ns: 1, is_doubtful: false }
}

fn reference(role: Role, blob: BlobId) -> ReferenceFacts {
    ReferenceFacts {
        role,
        blob,
        declared_bytes: DeclaredBytes::NONE,
        media_type: None,
        platform: None,
        build_step: None,
        is_external: false,
    }
}

fn root(scope: HoldScope, repository: Option<u32>, blob: Option<BlobId>) -> UnreadableRoot {
    UnreadableRoot { scope, repository, blob, code: Code::LinkMismatch, path: String::new() }
}

impl Plan {
    pub fn catalog(&self) -> Catalog {
        let file = |size_bytes| BlobFile { size_bytes, modified_ns: 1, changed_ns: 1, inode: 1 };
        let manifests = &self.manifests;
        let present = manifests.iter().map(|plan| plan.is_present.then_some(plan.bytes));
        let sizes = self.layers.iter().copied().chain(present);
        let files: Vec<_> = sizes.map(|size| size.map(file)).collect();
        let mut aliases: HashMap<BlobId, Vec<BlobId>, _> = HashMap::default();
        for (name, target) in self.aliases.iter().filter(|(name, target)| name != target) {
            let targets: &mut Vec<BlobId> = aliases.entry(*name as BlobId).or_default();
            targets.push(*target as BlobId);
            targets.sort_unstable();
            targets.dedup();
        }
        let mut roots = Vec::new();
        if self.is_storage_held {
            roots.push(root(HoldScope::Storage, None, None));
        }
        for (place, plan) in (0..).zip(&self.repositories) {
            roots.extend(plan.hold.map(|scope| root(scope, Some(place), None)));
            let held = plan.held.map(manifest_blob);
            roots.extend(held.map(|blob| root(HoldScope::Blob, Some(place), Some(blob))));
        }
        Catalog {
            digests: (0..files.len()).map(|at| digest(at as BlobId)).collect(),
            files,
            manifests: (0..).zip(manifests).map(|(id, plan)| plan.manifest(id)).collect(),
            manifest_of: (0..manifests.len()).map(|id| (manifest_blob(id), id as u32)).collect(),
            aliases,
            repositories: (0..).zip(&self.repositories).map(RepositoryPlan::repository).collect(),
            roots,
            external_roots: Vec::new(),
            ignores_tags: false,
            maybe_manifests: Vec::new(),
            layout: Layout::new("v2".into()),
            is_pull_through: false,
            media_types: Vec::new(),
            platforms: Vec::new(),
            build_steps: Vec::new(),
        }
    }

    /// The graph, with what somebody outside refers to.
    pub fn graph(&self) -> Graph {
        let mut parts = self.catalog().parts();
        parts.roots = self
            .roots
            .iter()
            .map(|(place, manifest)| ExternalRoot {
                repository: place.map(|place| (place % self.repositories.len()) as u32),
                blob: manifest_blob(*manifest),
                keeps_revisions: true,
            })
            .collect();
        Graph::new(parts)
    }
}

impl ManifestPlan {
    fn manifest(&self, id: usize) -> CatalogManifest {
        let children = self.children.iter().filter(|child| **child < id);
        let children = children.map(|child| reference(Role::Manifest, manifest_blob(*child)));
        let layers = self.layers.iter().map(|layer| reference(Role::Layer, *layer as u32));
        let subject = self.subject.map(|subject| reference(Role::Subject, manifest_blob(subject)));
        CatalogManifest {
            blob: manifest_blob(id),
            body: Some(ManifestBody {
                kind: ManifestKind::Image,
                media_type: None,
                artifact_type: None,
                references: children.chain(layers).chain(subject).collect(),
                os: None,
                architecture: None,
                variant: None,
                created_ns: None,
                is_type_unknown: false,
                config_fault: None,
            }),
            fault: None,
            is_orphan: false,
        }
    }
}

impl RepositoryPlan {
    fn repository((place, plan): (usize, &Self)) -> CatalogRepository {
        let sorted = |mut places: Vec<usize>| {
            places.sort_unstable();
            places.dedup();
            places.into_iter().map(link).collect()
        };
        let revisions = plan.revisions.iter().map(|id| LAYERS + id).collect();
        let tag = |(number, plan): (usize, &TagPlan)| CatalogTag {
            name: match plan.about.map(|about| digest(manifest_blob(about))) {
                Some(about) => format!("sha256-{}.sig{number}", about.encoded()),
                None => format!("tag{number}"),
            },
            target: plan.target.map(manifest_blob),
            is_unreadable: plan.target.is_none(),
            modified_ns: Some(number as i64),
            entries: Vec::new(),
        };
        let mut tags: Vec<CatalogTag> = plan.tags.iter().enumerate().map(tag).collect();
        tags.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        CatalogRepository {
            name: format!("repository{place}"),
            facts: RepositoryFacts::default(),
            revisions: sorted(revisions),
            tags,
            layer_links: sorted(plan.links.clone()),
            uploads: Vec::new(),
            is_held: plan.hold.is_some(),
        }
    }
}

/// The graph as it comes back from a database that it was written to.
pub fn snapshot(catalog: &Catalog) -> Graph {
    let mut connection = Connection::open_in_memory().unwrap();
    db::create_tables(&mut connection).unwrap();
    let graph = catalog.graph();
    let scan = db::ScanRecord {
        root: String::new(),
        started_ns: 0,
        finished_ns: 0,
        duration_ms: 0,
        is_complete: true,
        is_deep: true,
        fingerprint: [0; 32],
        proxy_url: None,
        disk: None,
        disk_use: None,
        bucket: db::BucketRecord::default(),
        max_vanished_percent: 50,
        other_totals: Vec::new(),
    };
    let authority = db::AuthorityRecord::default();
    let ids = db::Ids::new(catalog);
    let snapshot = db::Snapshot {
        graph: catalog,
        ids: &ids,
        accounts: &account(&graph),
        groups: &crate::graph::groups(&graph),
        verdicts: &tag_verdicts(catalog, &graph),
        findings: &[],
        authority: &authority,
        scan,
    };
    let target = db::Target::new(&connection);
    drop(db::load_references(target, catalog, &ids).unwrap());
    db::load_figures(target, &snapshot, None).unwrap();
    db::read_graph(&connection).unwrap()
}
