//! What a protect list means in one registry: the images that it names, and their tags.

use super::protect::Protect;
use crate::graph::{BlobId, Graph, ManifestId, Names, TagNode};
use crate::model::Name;
use crate::roots::Reference;

/// What must stay of a snapshot.
pub struct Protected<'a> {
    protect: &'a Protect,
    /// One for each blob of the graph: its digest is protected.
    is_named: Vec<bool>,
    /// One for each blob of the graph: its digest is protected, or it is a manifest whose config is,
    /// or an index that leads to one of these.
    is_image: Vec<bool>,
}

impl<'a> Protected<'a> {
    /// Finds the images. Container runtimes call an image by its manifest's digest or by its
    /// config's, so both lead to it. They never name the index through which they pulled it, so
    /// each that leads to it stays.
    pub fn new(graph: &Graph, protect: &'a Protect) -> Self {
        let mut is_named = vec![false; graph.blobs.len()];
        for blob in protect.references().flat_map(|reference| blobs_of(graph, reference)) {
            is_named[blob as usize] = true;
        }
        let mut is_image = is_named.clone();
        for blob in (0..graph.blobs.len() as BlobId).filter(|blob| is_named[*blob as usize]) {
            for manifest in graph.manifests_with_config(blob) {
                is_image[graph.manifests[manifest as usize] as usize] = true;
            }
        }
        if is_named.contains(&true) {
            mark_parents(graph, &mut is_image);
        }
        Self { protect, is_named, is_image }
    }

    /// Whether the blob must stay for its own digest.
    pub fn has_blob(&self, blob: BlobId) -> bool {
        self.is_named[blob as usize]
    }

    /// Whether the image must stay in every repository that has it.
    pub fn has_image(&self, manifest: BlobId) -> bool {
        self.is_image[manifest as usize]
    }

    /// Whether a tag must stay, by its name or for an image that it leads to.
    pub fn has_tag(&self, repository: &str, tag: &TagNode) -> bool {
        tag.target.is_some_and(|target| self.has_image(target))
            || self.protect.has_tag(repository, &tag.name)
    }
}

/// Marks every manifest that leads to a marked one.
fn mark_parents(graph: &Graph, is_image: &mut [bool]) {
    let ids = 0..graph.manifests.len() as ManifestId;
    let edges = ids.clone().flat_map(|id| graph.children(id).iter().map(move |child| (*child, id)));
    let mut parents: Vec<(ManifestId, ManifestId)> = edges.collect();
    parents.sort_unstable();
    let blob_of = |id: ManifestId| graph.manifests[id as usize] as usize;
    let mut found: Vec<ManifestId> = ids.filter(|id| is_image[blob_of(*id)]).collect();
    while let Some(id) = found.pop() {
        let start = parents.partition_point(|(child, _)| *child < id);
        for (_, parent) in parents[start..].iter().take_while(|(child, _)| *child == id) {
            if !std::mem::replace(&mut is_image[blob_of(*parent)], true) {
                found.push(*parent);
            }
        }
    }
}

/// The blobs that a reference calls by their digest, or by its first digits.
fn blobs_of(graph: &Graph, reference: &Reference) -> impl Iterator<Item = BlobId> + use<> {
    let digest = reference.digest.as_ref();
    let named = digest.and_then(|digest| graph.blob_by_digest(digest));
    let range = reference.digest_range().map_or(0..0, |(first, last)| {
        let start = graph.blobs.partition_point(|blob| blob.digest < first);
        let end = graph.blobs.partition_point(|blob| blob.digest <= last);
        start as BlobId..end as BlobId
    });
    named.into_iter().chain(range)
}

/// How many references of the lists name something that is in this registry: a tag, a blob that is
/// on disk or linked, or an image by its config.
pub fn named_count(graph: &Graph, protect: &Protect) -> usize {
    let names = Names::new(graph);
    let is_tag = |repository: String, tag: &str| {
        let name = Name::Tag { repository, tag: tag.to_owned(), manifest_digest: None };
        names.find(&name).is_ok()
    };
    // The graph also has the digests of what is named and long gone.
    let is_here = blobs_here(graph);
    let leads_here =
        |blob: BlobId| is_here[blob as usize] || graph.manifests_with_config(blob).next().is_some();
    protect
        .references()
        .filter(|reference| {
            blobs_of(graph, reference).any(leads_here)
                || reference
                    .readings()
                    .any(|(repository, tag)| is_tag(repository.into_owned(), tag))
        })
        .count()
}

/// One for each blob of the graph: it is on disk, or a link leads to it.
fn blobs_here(graph: &Graph) -> Vec<bool> {
    let mut is_here: Vec<bool> = graph.blobs.iter().map(|blob| blob.size_bytes.is_some()).collect();
    let links = graph.links.iter().flat_map(|link| [link.name, link.target]);
    let tags = graph.tags.iter().filter_map(|tag| tag.target);
    for blob in links.chain(tags).chain(graph.revisions.iter().copied()) {
        is_here[blob as usize] = true;
    }
    is_here
}

/// The patterns that match no tag of this registry: what they are to protect may have another name.
pub fn unmatched_patterns<'a>(graph: &Graph, protect: &'a Protect) -> Vec<&'a str> {
    let repositories = graph.repositories.iter();
    protect.unmatched_patterns(repositories.flat_map(|repository| {
        let tags = graph.tags_of(repository).iter();
        tags.map(|tag| (repository.name.as_str(), tag.name.as_str()))
    }))
}
