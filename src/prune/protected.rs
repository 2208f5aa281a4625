//! What a protect list means in one registry: the images that it names, and their tags.

use super::protect::Protect;
use crate::graph::BlobId;
use crate::removal::{Names, StoredGraph, TagNode};

/// What must stay of a snapshot.
pub struct Protected<'a> {
    protect: &'a Protect,
    /// One for each blob of the graph: its digest is protected, or it is a manifest whose config is.
    is_image: Vec<bool>,
}

impl<'a> Protected<'a> {
    /// Finds the images. Container runtimes call an image by its manifest's digest or by its
    /// config's, so both lead to it.
    pub fn new(graph: &StoredGraph, protect: &'a Protect) -> Self {
        let mut is_image = vec![false; graph.blobs.len()];
        for blob in protect.digests().filter_map(|digest| graph.blob_by_digest(digest)) {
            is_image[blob as usize] = true;
            for manifest in graph.manifests_with_config(blob) {
                is_image[graph.manifests[manifest as usize] as usize] = true;
            }
        }
        Self { protect, is_image }
    }

    /// Whether the image must stay in every repository that has it.
    pub fn has_image(&self, manifest: BlobId) -> bool {
        self.is_image[manifest as usize]
    }

    /// Whether a tag must stay, by its name or for the image that it points at.
    pub fn has_tag(&self, repository: &str, tag: &TagNode) -> bool {
        tag.target.is_some_and(|target| self.has_image(target))
            || self.protect.has_tag(repository, &tag.name)
    }
}

/// How many references of the lists name a tag or digest of this registry.
pub fn named_count(graph: &StoredGraph, protect: &Protect) -> usize {
    let names = Names::new(graph);
    let is_named = |repository: &str, tag: &str| names.tag(repository, tag).is_ok();
    protect
        .references()
        .filter(|reference| {
            let digest = reference.digest.as_ref();
            digest.is_some_and(|digest| graph.blob_by_digest(digest).is_some())
                || reference.readings().any(|(repository, tag)| is_named(repository, tag))
        })
        .count()
}
