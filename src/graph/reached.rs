//! What each repository keeps, as pairs: for engines that count over many registries.
//!
//! The pairs without a repository say what stays whatever repositories say. So the figures follow from
//! pairs alone: a blob in none is an orphan; one in a single pair is exclusive to that pair's repository;
//! a repository's pairs are its logical bytes. A test holds them to [`super::account`].

use super::flat::Graph;
use super::parts::BlobId;
use super::walk::Walk;

/// Hands out, by repository, all that it reaches, sorted. What stays whatever repositories say comes last,
/// with `None`.
///
/// # Errors
/// Those of `take`, which ends it.
pub fn reached<E>(
    graph: &Graph,
    mut take: impl FnMut(Option<u32>, &[BlobId]) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk::new(graph);
    let mut blobs: Vec<BlobId> = Vec::new();
    for (place, repository) in (0..).zip(&graph.repositories) {
        walk.go(graph, Some(repository), graph.starts(repository));
        blobs.clear();
        blobs.extend(walk.found().iter().flat_map(|id| graph.kept_blobs(*id)));
        blobs.extend(graph.fixed_starts(repository));
        blobs.sort_unstable();
        blobs.dedup();
        take(Some(place), &blobs)?;
    }
    let starts = fixed(graph, &mut walk);
    walk.go(graph, None, starts.iter().copied());
    let manifests = walk.found().iter().flat_map(|id| graph.kept_blobs(*id)).copied();
    let mut blobs: Vec<BlobId> = manifests.chain(starts.iter().copied()).collect();
    blobs.sort_unstable();
    blobs.dedup();
    take(None, &blobs)
}

/// Hands out where [`reached`] begins: following edges from there gives the same.
///
/// # Errors
/// Those of `take`, which ends it.
pub fn starts<E>(
    graph: &Graph,
    mut take: impl FnMut(Option<u32>, &[BlobId]) -> Result<(), E>,
) -> Result<(), E> {
    for (place, repository) in (0..).zip(&graph.repositories) {
        let named =
            graph.named_starts(repository).filter(|blob| graph.manifest_at(*blob).is_some());
        let mut blobs: Vec<BlobId> = named.chain(graph.fixed_starts(repository)).collect();
        blobs.sort_unstable();
        blobs.dedup();
        take(Some(place), &blobs)?;
    }
    take(None, &fixed(graph, &mut Walk::new(graph)))
}

/// Hands out what a manifest leads to directly, sorted: what it names, and what the registry resolves
/// that to.
///
/// # Errors
/// Those of `take`, which ends it.
pub fn edges<E>(
    graph: &Graph,
    mut take: impl FnMut(BlobId, &[BlobId]) -> Result<(), E>,
) -> Result<(), E> {
    let mut blobs: Vec<BlobId> = Vec::new();
    for (id, blob) in (0..).zip(&graph.manifests) {
        blobs.clear();
        blobs.extend(graph.kept_blobs(id).iter().filter(|kept| *kept != blob));
        blobs.extend(graph.children(id).iter().map(|child| graph.manifests[*child as usize]));
        blobs.sort_unstable();
        blobs.dedup();
        take(*blob, &blobs)?;
    }
    Ok(())
}

/// What no deletion of a whole repository frees, sorted: what is kept everywhere, and what is fixed in a
/// repository that never goes whole because somebody outside refers to something in it.
fn fixed(graph: &Graph, walk: &mut Walk) -> Vec<BlobId> {
    let everywhere = 0..graph.blobs.len() as BlobId;
    let mut starts: Vec<BlobId> =
        everywhere.filter(|blob| graph.is_kept_everywhere(*blob)).collect();
    for repository in graph.repositories.iter().filter(|repository| !repository.rooted.is_empty()) {
        walk.go(graph, Some(repository), graph.fixed_starts(repository));
        starts.extend(walk.found().iter().map(|id| graph.manifests[*id as usize]));
        starts.extend(graph.fixed_starts(repository));
    }
    starts.sort_unstable();
    starts.dedup();
    starts
}
