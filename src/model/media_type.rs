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
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// What layers of schema 1 manifests are, which do not say.
pub const SCHEMA1_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Whether a media type is `known`. Parameters and case make no difference (RFC 6838, RFC 9110).
fn is(media_type: &str, known: &str) -> bool {
    essence(media_type).eq_ignore_ascii_case(known)
}

fn is_one_of(media_type: &str, known: &[&str]) -> bool {
    known.iter().any(|known| is(media_type, known))
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split_once(';').map_or(media_type, |(essence, _)| essence).trim_ascii()
}

/// Whether the registry knows manifests of this type.
pub fn is_known_manifest(media_type: &str) -> bool {
    is_image_manifest(media_type) || is_index(media_type) || is_one_of(media_type, SCHEMA1)
}

/// Whether something of this type is a manifest.
pub fn is_manifest(media_type: &str) -> bool {
    is_known_manifest(media_type) || is_artifact_manifest(media_type)
}

/// Whether a manifest of this type has a config and layers.
pub fn is_image_manifest(media_type: &str) -> bool {
    is_one_of(media_type, IMAGE_MANIFESTS)
}

/// Whether it is the OCI artifact manifest.
pub fn is_artifact_manifest(media_type: &str) -> bool {
    is(media_type, OCI_ARTIFACT)
}

/// Whether a manifest of this type is an index.
pub fn is_index(media_type: &str) -> bool {
    is_one_of(media_type, INDEXES)
}

/// Whether a config of this type is an image's.
pub fn is_image_config(media_type: &str) -> bool {
    is(media_type, OCI_CONFIG) || is(media_type, DOCKER_CONFIG)
}

/// Whether an index entry of this type is a config. `BuildKit` caches list theirs so.
pub fn is_config(media_type: &str) -> bool {
    is_image_config(media_type) || is(media_type, "application/vnd.buildkit.cacheconfig.v0")
}

/// Whether it is a file system layer of an image.
pub fn is_layer(media_type: &str) -> bool {
    let name = media_type.trim_ascii_start();
    let begins_with = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins_with("application/vnd.docker.image.rootfs.")
        || begins_with("application/vnd.oci.image.layer.")
}

/// Whether a registry need not hold the blob: it is fetched from `urls`.
pub fn is_foreign(media_type: &str) -> bool {
    let name = media_type.to_ascii_lowercase();
    is_layer(media_type) && (name.contains(".foreign.") || name.contains(".nondistributable."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_make_no_difference() {
        assert!(is_image_manifest("Application/vnd.OCI.image.manifest.v1+json; charset=utf-8"));
        assert!(is_layer("application/vnd.oci.image.layer.v1.TAR+gzip;x=y"));
        assert!(is_foreign("application/vnd.docker.image.rootfs.Foreign.diff.tar.gzip"));
        assert!(!is_image_config("application/vnd.oci.image.config.v1+jsonx"));
    }
}
