//! From facts to the catalog: ids by digest order, links and manifests resolved to ids.

use std::collections::HashMap;

use crate::graph::Graph;
use crate::model::{Digest, HoldScope};
use crate::scan::{Facts, Notes, NumberedLink, NumberedLinks, RepositoryFacts};

use super::holds::find_holds;
use super::{
    BlobFile, BlobId, Catalog, CatalogLink, CatalogManifest, CatalogRepository, CatalogTag,
};

/// Builds the catalog and the graph over it; the notes that stand outside repositories are given back.
pub fn build(facts: Facts) -> (Catalog, Graph, Notes) {
    let ranks = Ranks::new(&facts);
    let mut digests = Vec::with_capacity(ranks.rank_of.len());
    let mut files = Vec::with_capacity(ranks.rank_of.len());
    let present_count = facts.blobs.len();
    let mut absent: Vec<Option<Digest>> = facts.absent.into_iter().map(Some).collect();
    let mut blobs: Vec<_> = facts.blobs.into_iter().map(Some).collect();
    for number in &ranks.in_order {
        let number = *number as usize;
        if number < present_count {
            let Some(blob) = blobs[number].take() else {
                continue;
            };
            files.push(Some(BlobFile {
                size_bytes: blob.size_bytes,
                modified_ns: blob.modified_ns,
                changed_ns: blob.changed_ns,
                inode: blob.inode,
            }));
            digests.push(blob.digest);
        } else {
            let Some(digest) = absent[number - present_count].take() else {
                continue;
            };
            files.push(None);
            digests.push(digest);
        }
    }

    let mut manifests: Vec<CatalogManifest> = facts
        .manifests
        .into_iter()
        .map(|mut manifest| {
            for reference in manifest.body.iter_mut().flat_map(|body| &mut body.references) {
                reference.blob = ranks.rank_of[reference.blob as usize];
            }
            CatalogManifest {
                blob: ranks.rank_of[manifest.blob as usize],
                body: manifest.body,
                fault: manifest.fault,
                is_orphan: manifest.is_orphan,
            }
        })
        .collect();
    manifests.sort_unstable_by_key(|manifest| manifest.blob);

    let mut catalog = Catalog {
        digests,
        files,
        manifest_of: manifests.iter().zip(0..).map(|(manifest, id)| (manifest.blob, id)).collect(),
        aliases: HashMap::default(),
        manifests,
        repositories: Vec::new(),
        roots: Vec::new(),
        external_roots: Vec::new(),
        ignores_tags: false,
        maybe_manifests: maybe_manifests(&facts.maybe_manifests, &ranks),
        layout: facts.layout,
        is_pull_through: facts.is_pull_through,
        media_types: facts.media_types,
        platforms: facts.platforms,
        build_steps: facts.build_steps,
    };
    resolve_children(&mut catalog);
    let repositories = facts.repositories;
    for (repository, links) in repositories {
        let repository = resolve_repository(&mut catalog, &ranks.rank_of, repository, links);
        catalog.repositories.push(repository);
    }
    for targets in catalog.aliases.values_mut() {
        targets.sort_unstable();
        targets.dedup();
    }
    let graph = catalog.graph();
    let found = find_holds(&catalog, &graph, &facts.notes);
    if found.roots.is_empty() && found.aliases.is_empty() {
        return (catalog, graph, facts.notes);
    }
    for root in &found.roots {
        if let (Some(place), HoldScope::Manifests | HoldScope::Repository) =
            (root.repository, root.scope)
        {
            catalog.repositories[place as usize].is_held = true;
        }
    }
    catalog.roots = found.roots;
    for (name, target) in found.aliases {
        let targets = catalog.aliases.entry(name).or_default();
        targets.push(target);
        targets.sort_unstable();
        targets.dedup();
    }
    let graph = catalog.graph();
    (catalog, graph, facts.notes)
}

/// New numbers by digest order: present blobs have that order among themselves already.
struct Ranks {
    in_order: Vec<u32>,
    rank_of: Vec<u32>,
}

impl Ranks {
    fn new(facts: &Facts) -> Self {
        let present_count = facts.blobs.len() as u32;
        let mut absent: Vec<u32> = (0..facts.absent.len() as u32).collect();
        absent.sort_unstable_by(|a, b| facts.absent[*a as usize].cmp(&facts.absent[*b as usize]));
        let mut absent = absent.into_iter().peekable();
        let mut in_order = Vec::with_capacity(facts.blobs.len() + facts.absent.len());
        for (number, blob) in (0..).zip(&facts.blobs) {
            while let Some(other) =
                absent.next_if(|other| facts.absent[*other as usize] < blob.digest)
            {
                in_order.push(present_count + other);
            }
            in_order.push(number);
        }
        in_order.extend(absent.map(|other| present_count + other));
        let mut rank_of = vec![0; in_order.len()];
        for (rank, number) in (0..).zip(&in_order) {
            rank_of[*number as usize] = rank;
        }
        Self { in_order, rank_of }
    }
}

fn maybe_manifests(numbers: &[u32], ranks: &Ranks) -> Vec<BlobId> {
    let mut blobs: Vec<BlobId> =
        numbers.iter().map(|number| ranks.rank_of[*number as usize]).collect();
    blobs.sort_unstable();
    blobs
}

/// An index entry is what it turned out to be: a manifest, or, when it is there and is none, a blob
/// (storage facts, case 21).
fn resolve_children(catalog: &mut Catalog) {
    use crate::model::{ManifestKind, Role};
    for manifest in &mut catalog.manifests {
        let Some(body) = &mut manifest.body else { continue };
        let is_index = body.kind == ManifestKind::Index;
        for reference in &mut body.references {
            let is_manifest = catalog.manifest_of.contains_key(&reference.blob);
            match reference.role {
                Role::Manifest
                    if !is_manifest && catalog.files[reference.blob as usize].is_some() =>
                {
                    reference.role = Role::Blob;
                }
                Role::Layer | Role::Config if is_index && is_manifest => {
                    reference.role = Role::Manifest;
                }
                _ => {}
            }
        }
    }
}

fn resolve_repository(
    catalog: &mut Catalog,
    rank_of: &[u32],
    mut facts: RepositoryFacts,
    links: NumberedLinks,
) -> CatalogRepository {
    let resolve = |link: NumberedLink| NumberedLink {
        name: rank_of[link.name as usize],
        target: rank_of[link.target as usize],
        ..link
    };
    let sorted = |links: Vec<NumberedLink>| {
        let mut links: Vec<CatalogLink> = links.into_iter().map(resolve).collect();
        links.sort_unstable_by_key(|link| link.name);
        links
    };
    let revisions = sorted(links.revisions);
    let layer_links = sorted(links.layer_links);
    for link in revisions.iter().chain(&layer_links).filter(|link| link.name != link.target) {
        catalog.aliases.entry(link.name).or_default().push(link.target);
    }
    for (revision, signature) in links.signatures {
        add_signature(catalog, rank_of[revision as usize], rank_of[signature as usize]);
    }
    let mut tags: Vec<CatalogTag> = links
        .tags
        .into_iter()
        .map(|tag| CatalogTag {
            target: tag.target.map(|number| rank_of[number as usize]),
            entries: sorted(tag.entries),
            ..tag
        })
        .collect();
    tags.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut uploads = std::mem::take(&mut facts.uploads);
    uploads.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    CatalogRepository {
        name: facts.name.clone(),
        revisions,
        tags,
        layer_links,
        uploads,
        facts,
        is_held: false,
    }
}

/// A signature kept beside a revision counts as named by the manifest.
fn add_signature(catalog: &mut Catalog, revision: BlobId, signature: BlobId) {
    use crate::model::Role;
    let Some(id) = catalog.manifest_at(revision) else {
        return;
    };
    let Some(body) = &mut catalog.manifests[id as usize].body else {
        return;
    };
    if body.references.iter().any(|reference| reference.blob == signature) {
        return;
    }
    body.references.push(crate::scan::ReferenceFacts {
        role: Role::Blob,
        blob: signature,
        declared_bytes: crate::scan::DeclaredBytes::NONE,
        media_type: None,
        platform: None,
        build_step: None,
        is_external: false,
    });
}
