//! Images that others are built on: their layers, in order, are the first layers of those.

use crate::model::{ManifestKind, Role};

use super::{BlobId, Catalog, CatalogManifest};

/// An image that others are built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseImage {
    /// Its manifest.
    pub manifest: BlobId,
    /// Images that begin with all of its layers and have more.
    pub derived_image_count: u32,
    /// Its layers.
    pub layer_count: u32,
    /// Bytes of those that are present, each once.
    pub layer_bytes: u64,
}

/// All of them. Lists of layers are sorted, so that those that begin with the same layers follow one
/// another, the shortest first.
pub fn base_images(catalog: &Catalog) -> Vec<BaseImage> {
    let is_image = |manifest: &&CatalogManifest| {
        let kind = manifest.body.as_ref().map(|body| body.kind);
        !manifest.is_orphan
            && matches!(kind, Some(ManifestKind::Image | ManifestKind::Schema1))
            && layers(manifest).next().is_some()
    };
    let mut images: Vec<&CatalogManifest> = catalog.manifests.iter().filter(is_image).collect();
    images.sort_unstable_by(|a, b| layers(a).cmp(layers(b)).then(a.blob.cmp(&b.blob)));

    let mut bases = Vec::new();
    // Lists that the one at hand begins with, each as the range of the images that have just it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut close = |(start, end): (usize, usize), at: usize| {
        if at > end {
            let (layer_count, layer_bytes) = size(catalog, images[start]);
            bases.extend(images[start..end].iter().map(|image| BaseImage {
                manifest: image.blob,
                derived_image_count: (at - end) as u32,
                layer_count,
                layer_bytes,
            }));
        }
    };
    let mut at = 0;
    for same in images.chunk_by(|a, b| layers(a).eq(layers(b))) {
        while let Some(base) = open.pop_if(|(start, _)| !is_prefix(images[*start], same[0])) {
            close(base, at);
        }
        open.push((at, at + same.len()));
        at += same.len();
    }
    for base in open {
        close(base, at);
    }
    bases
}

/// In the order of the manifest; one that it names twice is there twice.
fn layers(manifest: &CatalogManifest) -> impl Iterator<Item = BlobId> {
    let layers = manifest.references().iter().filter(|reference| reference.role == Role::Layer);
    layers.map(|reference| reference.blob)
}

fn is_prefix(base: &CatalogManifest, image: &CatalogManifest) -> bool {
    let mut rest = layers(image);
    layers(base).all(|layer| rest.next() == Some(layer))
}

fn size(catalog: &Catalog, image: &CatalogManifest) -> (u32, u64) {
    let mut named: Vec<BlobId> = layers(image).collect();
    let layer_count = named.len() as u32;
    named.sort_unstable();
    named.dedup();
    let sizes = named.into_iter().map(|layer| catalog.size_bytes(layer));
    (layer_count, sizes.fold(0, u64::saturating_add))
}
