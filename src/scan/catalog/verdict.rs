//! Whether a tag can be pulled, and how many layers a pull meets.

use super::{BlobId, Catalog, CatalogLink, CatalogRepository};
use crate::graph::{Graph, ManifestId, Paths, Walk};
use crate::model::{ManifestKind, Role};
use crate::scan::ReferenceFacts;

/// What pulling a tag meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagVerdict {
    /// Distinct layers that it reaches.
    pub layer_count: u32,
    /// It cannot be pulled whole.
    pub is_broken: bool,
}

/// The verdicts of all tags, in the order of the graph.
pub fn tag_verdicts(catalog: &Catalog, graph: &Graph) -> Vec<TagVerdict> {
    let paths = Paths::new(graph);
    let mut walk = Walk::new(graph);
    let mut layers = vec![0_u32; catalog.digests.len()];
    let mut round = 0;
    let mut verdicts = Vec::with_capacity(graph.tags.len());
    for repository in &catalog.repositories {
        let first = verdicts.len();
        let unpullable = TagVerdict { layer_count: 0, is_broken: true };
        verdicts.resize(first + repository.tags.len(), unpullable);
        let targets = (first..).zip(&repository.tags);
        let targets = targets.filter_map(|(at, tag)| Some((graph.manifest_at(tag.target?)?, at)));
        // What lies on one path is nested: each meets all that those below it meet.
        for path in paths.sort(targets.collect()).chunk_by(|a, b| a.0 == b.0) {
            walk.clear();
            round += 1;
            let mut verdict = TagVerdict { layer_count: 0, is_broken: false };
            for (_, id, at) in path {
                let target = catalog.manifests[*id as usize].blob;
                for node in walk.go_on(graph, None, [target], |_| true) {
                    verdict.is_broken |= is_broken(catalog, repository, *node);
                    for reference in catalog.manifests[*node as usize].references() {
                        let met = &mut layers[reference.blob as usize];
                        if reference.role == Role::Layer && *met != round {
                            *met = round;
                            verdict.layer_count += 1;
                        }
                    }
                }
                let is_linked = is_revision(repository, target)
                    && (catalog.is_pull_through || !has_lost_link(&repository.revisions, target));
                verdicts[*at] =
                    TagVerdict { is_broken: verdict.is_broken || !is_linked, ..verdict };
            }
        }
    }
    verdicts
}

/// Whether a manifest cannot be pulled in a repository, apart from its children.
fn is_broken(catalog: &Catalog, repository: &CatalogRepository, id: ManifestId) -> bool {
    let manifest = &catalog.manifests[id as usize];
    if catalog.is_pull_through {
        return false;
    }
    let (mut children, mut served) = (0_u32, 0_u32);
    let mut is_broken = manifest.is_broken();
    for reference in manifest.references() {
        match reference.role {
            Role::Config | Role::Layer => {
                is_broken |= missing(catalog, repository, reference).is_some()
                    || has_lost_link(&repository.layer_links, reference.blob);
            }
            Role::Manifest => {
                children += 1;
                let is_lost = has_lost_link(&repository.revisions, reference.blob);
                let is_served = catalog.is_available(reference.blob)
                    && is_revision(repository, reference.blob)
                    && !is_lost;
                served += u32::from(is_served);
                is_broken |= is_lost || is_unlinked_child(catalog, repository, reference);
            }
            Role::Blob | Role::Subject => {}
        }
    }
    // An index of which no child is served here can be pulled for no platform.
    let is_index = manifest.body.as_ref().is_some_and(|body| body.kind == ManifestKind::Index);
    is_broken || is_index && children > 0 && served == 0
}

/// Whether the manifest is linked in the repository.
pub fn is_revision(repository: &CatalogRepository, blob: BlobId) -> bool {
    repository.revisions.binary_search_by_key(&blob, |revision| revision.name).is_ok()
}

/// Whether an index's child is on disk and not linked in the repository: the registry answers 404
/// for it. One that is not on disk either was left out on purpose.
pub fn is_unlinked_child(
    catalog: &Catalog,
    repository: &CatalogRepository,
    reference: &ReferenceFacts,
) -> bool {
    reference.role == Role::Manifest
        && !catalog.is_pull_through
        && catalog.is_available(reference.blob)
        && !is_revision(repository, reference.blob)
}

/// Whether the link to a blob is there and says nothing: it is damaged, or could not be read, and then it
/// is not known whether the registry can serve the blob. What a link says with white space around it, or of
/// another digest, is a problem's to tell (`db/sql/mark_broken_tags.sql`).
fn has_lost_link(links: &[CatalogLink], blob: BlobId) -> bool {
    let link = links.binary_search_by_key(&blob, |link| link.name).ok();
    link.is_some_and(|at| links[at].is_doubtful && links[at].target == links[at].name)
}

/// Why the registry cannot serve what a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The blob is not on disk.
    Blob,
    /// It is on disk and not linked in the repository.
    Link,
}

/// Whether the registry can serve a config or layer in a repository (distribution
/// `registry/storage/linkedblobstore.go`: the link first, then the blob).
pub fn missing(
    catalog: &Catalog,
    repository: &CatalogRepository,
    reference: &ReferenceFacts,
) -> Option<Missing> {
    if catalog.is_pull_through || reference.is_external {
        return None;
    }
    if !catalog.is_available(reference.blob) {
        return Some(Missing::Blob);
    }
    let links = &repository.layer_links;
    let is_linked = links.binary_search_by_key(&reference.blob, |link| link.name).is_ok();
    (!is_linked).then_some(Missing::Link)
}
