//! Media types that decide how a manifest or one of its entries is read.
//!
//! Sources: OCI image specification media-types.md, distribution `manifest/schema2`, `manifestlist`
//! and `schema1`, BuildKit `cache/remotecache/v1`.

/// The OCI image config.
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The Docker image config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Media types of manifests that name images: config and layers.
const IMAGE_MANIFESTS: &[&str] = &[
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
];

/// Media types of manifests that name other manifests.
const INDEXES: &[&str] = &[
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];

/// Media types of the oldest manifests.
const SCHEMA1: &[&str] = &[
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
];

/// The short-lived OCI artifact manifest, which the registry does not know.
pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// What layers of schema 1 manifests are, which do not say.
pub const SCHEMA1_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Whether the registry knows manifests of this type.
pub fn is_known_manifest(media_type: &str) -> bool {
    IMAGE_MANIFESTS.contains(&media_type)
        || INDEXES.contains(&media_type)
        || SCHEMA1.contains(&media_type)
}

/// Whether an index entry of this type is a manifest.
pub fn is_manifest(media_type: &str) -> bool {
    is_known_manifest(media_type) || media_type == OCI_ARTIFACT
}

/// Whether a manifest of this type is an index.
pub fn is_index(media_type: &str) -> bool {
    INDEXES.contains(&media_type)
}

/// Whether a config of this type is an image's.
pub fn is_image_config(media_type: &str) -> bool {
    media_type == OCI_CONFIG || media_type == DOCKER_CONFIG
}

/// Whether an index entry of this type is a config. `BuildKit` caches list theirs so.
pub fn is_config(media_type: &str) -> bool {
    is_image_config(media_type) || media_type == "application/vnd.buildkit.cacheconfig.v0"
}

/// Whether it is a file system layer of an image.
pub fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.image.rootfs.")
        || media_type.starts_with("application/vnd.oci.image.layer.")
}

/// Whether a registry need not hold the blob: it is fetched from `urls`.
pub fn is_foreign(media_type: &str) -> bool {
    is_layer(media_type)
        && (media_type.contains(".foreign.") || media_type.contains(".nondistributable."))
}
