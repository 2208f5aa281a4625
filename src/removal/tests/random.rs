//! Small random graphs, and their way through the tables and back.

use std::collections::HashMap;

use proptest::prelude::*;
use rusqlite::Connection;

use crate::db;
use crate::graph::{
    BlobFile, BlobId, Graph, GraphLink, GraphManifest, GraphRepository, GraphTag, UnreadableRoot,
    account,
};
use crate::model::{Code, Digest, ManifestKind, Role};
use crate::removal::StoredGraph;
use crate::scan::{HoldScope, ManifestBody, ReferenceFacts, RepositoryFacts};
use crate::storage::Layout;

const LAYERS: usize = 7;
const MANIFESTS: usize = 8;

/// What a random graph is made of; numbers wrap around.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `None` is a layer that is gone.
    pub layers: Vec<Option<u64>>,
    pub manifests: Vec<ManifestPlan>,
    pub repositories: Vec<RepositoryPlan>,
    /// A layer that the registry resolves to another one.
    pub alias: Option<(usize, usize)>,
    pub is_storage_held: bool,
    pub are_manifests_held: bool,
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
pub struct RepositoryPlan {
    pub revisions: Vec<usize>,
    pub tags: Vec<Option<usize>>,
    pub links: Vec<usize>,
    pub is_held: bool,
    pub held: Option<usize>,
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.08)
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
    let repository = (
        some(MANIFESTS, MANIFESTS),
        prop::collection::vec(prop::option::weighted(0.95, 0..MANIFESTS), 0..6),
        some(LAYERS, LAYERS),
        rarely(),
        prop::option::weighted(0.08, 0..MANIFESTS),
    )
        .prop_map(|(revisions, tags, links, is_held, held)| RepositoryPlan {
            revisions,
            tags,
            links,
            is_held,
            held,
        });
    (
        prop::collection::vec(prop::option::weighted(0.95, 100_u64..10_000), LAYERS),
        prop::collection::vec(manifest, MANIFESTS),
        prop::collection::vec(repository, 1..4),
        prop::option::weighted(0.2, (0..LAYERS, 0..LAYERS)),
        prop::bool::weighted(0.02),
        prop::bool::weighted(0.02),
    )
        .prop_map(
            |(layers, manifests, repositories, alias, is_storage_held, are_manifests_held)| Plan {
                layers,
                manifests,
                repositories,
                alias,
                is_storage_held,
                are_manifests_held,
            },
        )
}

fn manifest_blob(manifest: usize) -> BlobId {
    (LAYERS + manifest) as BlobId
}

fn link(blob: usize) -> GraphLink {
    GraphLink { name: blob as u32, target: blob as u32, modified_ns: 1, is_doubtful: false }
}

fn reference(role: Role, blob: BlobId) -> ReferenceFacts {
    ReferenceFacts {
        role,
        blob,
        declared_bytes: None,
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
    pub fn graph(&self) -> Graph {
        let file = |size_bytes| BlobFile { size_bytes, modified_ns: 1, changed_ns: 1 };
        let manifests = &self.manifests;
        let present = manifests.iter().map(|plan| plan.is_present.then_some(plan.bytes));
        let sizes = self.layers.iter().copied().chain(present);
        let files: Vec<_> = sizes.map(|size| size.map(file)).collect();
        let digests: Vec<Digest> =
            (0..files.len()).map(|at| Digest::Sha256([at as u8; 32])).collect();
        let mut referrers: HashMap<BlobId, Vec<u32>, _> = HashMap::default();
        for (id, subject) in (0..).zip(manifests.iter().map(|plan| plan.subject)) {
            if let Some(subject) = subject {
                referrers.entry(manifest_blob(subject)).or_default().push(id);
            }
        }
        let mut aliases: HashMap<BlobId, Vec<BlobId>, _> = HashMap::default();
        if let Some((name, target)) = self.alias.filter(|(name, target)| name != target) {
            aliases.insert(name as BlobId, vec![target as BlobId]);
        }
        let mut roots = Vec::new();
        if self.is_storage_held {
            roots.push(root(HoldScope::Storage, None, None));
        }
        if self.are_manifests_held {
            roots.push(root(HoldScope::Manifests, None, None));
        }
        for (place, held) in (0..).zip(self.repositories.iter().map(|plan| plan.held)) {
            if let Some(blob) = held.map(manifest_blob) {
                let scope = HoldScope::Blob(digests[blob as usize].clone());
                roots.push(root(scope, Some(place), Some(blob)));
            }
        }
        Graph {
            files,
            manifests: (0..).zip(manifests).map(|(id, plan)| plan.manifest(id)).collect(),
            manifest_of: (0..manifests.len()).map(|id| (manifest_blob(id), id as u32)).collect(),
            aliases,
            referrers,
            repositories: (0..).zip(&self.repositories).map(RepositoryPlan::repository).collect(),
            roots,
            maybe_manifests: Vec::new(),
            layout: Layout::new("v2".into()),
            is_pull_through: false,
            media_types: Vec::new(),
            platforms: Vec::new(),
            build_steps: Vec::new(),
            digests,
        }
    }
}

impl ManifestPlan {
    fn manifest(&self, id: usize) -> GraphManifest {
        let children = self.children.iter().filter(|child| **child < id);
        let children = children.map(|child| reference(Role::Manifest, manifest_blob(*child)));
        let layers = self.layers.iter().map(|layer| reference(Role::Layer, *layer as u32));
        let subject = self.subject.map(|subject| reference(Role::Subject, manifest_blob(subject)));
        GraphManifest {
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
                config_fault: None,
            }),
            fault: None,
            is_orphan: false,
        }
    }
}

impl RepositoryPlan {
    fn repository((place, plan): (usize, &Self)) -> GraphRepository {
        let sorted = |mut places: Vec<usize>| {
            places.sort_unstable();
            places.dedup();
            places.into_iter().map(link).collect()
        };
        let revisions = plan.revisions.iter().map(|id| LAYERS + id).collect();
        let tag = |(number, target): (usize, &Option<usize>)| GraphTag {
            name: format!("tag{number}"),
            target: target.map(manifest_blob),
            is_unreadable: target.is_none(),
            modified_ns: Some(number as i64),
            entries: Vec::new(),
        };
        GraphRepository {
            name: format!("repository{place}"),
            facts: RepositoryFacts::default(),
            revisions: sorted(revisions),
            tags: plan.tags.iter().enumerate().map(tag).collect(),
            layer_links: sorted(plan.links.clone()),
            uploads: Vec::new(),
            is_held: plan.is_held,
        }
    }
}

/// The graph as it comes back from a database that it was written to.
pub fn snapshot(graph: &Graph) -> StoredGraph {
    let mut connection = Connection::open_in_memory().unwrap();
    db::create_tables(&mut connection).unwrap();
    let accounts = account(graph);
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
        max_vanished_percent: 50,
        other_totals: Vec::new(),
    };
    let snapshot = db::Snapshot { graph, accounts: &accounts, findings: &[], scan };
    db::load_references(&connection, graph).unwrap();
    db::load_figures(&connection, &snapshot, None).unwrap();
    db::read_graph(&connection).unwrap()
}
