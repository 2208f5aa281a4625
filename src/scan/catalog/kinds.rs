//! What each blob is, as far as manifests say.

use crate::model::{ManifestKind, Role};
use crate::scan::TextNumber;

use super::{Catalog, CatalogManifest};

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobKind {
    /// Named as a layer.
    Layer,
    /// Named as a config.
    Config,
    /// A manifest.
    Manifest,
    /// A manifest of manifests.
    Index,
    /// Nothing says it.
    Unknown,
}

impl BlobKind {
    /// As the `blobs` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Config => "config",
            Self::Manifest => "manifest",
            Self::Index => "index",
            Self::Unknown => "unknown",
        }
    }
}

/// What manifests say of a blob.
#[derive(Clone, Copy, Debug)]
pub struct BlobDescription {
    /// What it is.
    pub kind: BlobKind,
    /// A manifest that is kept names it as a layer.
    pub is_layer: bool,
    /// The number of the media type that the first such manifest says.
    pub layer_media_type: Option<TextNumber>,
    /// The number of the build command that the first such manifest says.
    pub build_step: Option<TextNumber>,
    /// Manifests that name it and are no orphans.
    pub manifest_count: u32,
}

/// Which blobs a manifest that is kept names as a layer.
pub(super) fn named_as_layers(catalog: &Catalog) -> Vec<bool> {
    let mut is_layer = vec![false; catalog.digests.len()];
    let kept = catalog.manifests.iter().filter(|manifest| !manifest.is_orphan);
    for reference in kept.flat_map(CatalogManifest::references) {
        is_layer[reference.blob as usize] |= reference.role == Role::Layer;
    }
    is_layer
}

/// Describes every blob. Where manifests disagree the one with the lowest digest wins, so that the
/// answer does not depend on the order of reading; a manifest that is kept wins over an orphan.
pub fn describe_blobs(catalog: &Catalog) -> Vec<BlobDescription> {
    let nothing = BlobDescription {
        kind: BlobKind::Unknown,
        is_layer: false,
        layer_media_type: None,
        build_step: None,
        manifest_count: 0,
    };
    let mut described = vec![nothing; catalog.digests.len()];
    // The last manifest that named each blob, since one may name it more than once.
    let mut named_by = vec![u32::MAX; catalog.digests.len()];
    for manifest in &catalog.manifests {
        let is_index = manifest.body.as_ref().is_some_and(|body| body.kind == ManifestKind::Index);
        described[manifest.blob as usize].kind =
            if is_index { BlobKind::Index } else { BlobKind::Manifest };
    }
    for is_orphan in [false, true] {
        for manifest in catalog.manifests.iter().filter(|manifest| manifest.is_orphan == is_orphan)
        {
            for reference in manifest.references() {
                let blob = &mut described[reference.blob as usize];
                let last = &mut named_by[reference.blob as usize];
                if !is_orphan && std::mem::replace(last, manifest.blob) != manifest.blob {
                    blob.manifest_count += 1;
                }
                let kind = match reference.role {
                    Role::Layer => BlobKind::Layer,
                    Role::Config => BlobKind::Config,
                    Role::Manifest | Role::Subject | Role::Blob => continue,
                };
                if blob.kind == BlobKind::Unknown {
                    blob.kind = kind;
                }
                if kind == BlobKind::Layer && !is_orphan {
                    blob.is_layer = true;
                    blob.layer_media_type = blob.layer_media_type.or(reference.media_type);
                    blob.build_step = blob.build_step.or(reference.build_step);
                }
            }
        }
    }
    described
}
