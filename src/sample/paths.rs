//! Where the registry puts things, relative to its root directory and with `/` between the parts.
//!
//! Written apart from the code that reads a storage, so that a fixture and a scan that agree have
//! not merely made the same mistake.

use crate::model::Digest;

/// The directory that holds `blobs` and `repositories`.
pub const V2: &str = "docker/registry/v2";

/// A blob's directory, which holds `data`.
pub fn blob_directory(digest: &Digest) -> String {
    let hex = digest.encoded();
    format!("{V2}/blobs/{}/{}/{hex}", algorithm(digest), &hex[..2])
}

/// A blob's data.
pub fn blob(digest: &Digest) -> String {
    format!("{}/data", blob_directory(digest))
}

/// A repository's directory.
pub fn repository(name: &str) -> String {
    format!("{V2}/repositories/{name}")
}

/// A layer link. A tarsum digest (`tarsum.v1+sha256:…`) has three directories where others have one.
pub fn layer_link(repository: &str, digest: &Digest) -> String {
    let algorithm = algorithm(digest);
    let directories = match algorithm.split_once('+') {
        Some((outer, inner)) => format!("{}/{inner}", outer.replacen('.', "/", 1)),
        None => algorithm,
    };
    let encoded = digest.encoded();
    format!("{V2}/repositories/{repository}/_layers/{directories}/{encoded}/link")
}

/// A revision link.
pub fn revision_link(repository: &str, digest: &Digest) -> String {
    let (algorithm, encoded) = (algorithm(digest), digest.encoded());
    format!("{V2}/repositories/{repository}/_manifests/revisions/{algorithm}/{encoded}/link")
}

/// A tag's directory.
pub fn tag(repository: &str, tag: &str) -> String {
    format!("{V2}/repositories/{repository}/_manifests/tags/{tag}")
}

/// The link that says where a tag points.
pub fn tag_current(repository: &str, name: &str) -> String {
    format!("{}/current/link", tag(repository, name))
}

/// The link that remembers that a tag pointed at `digest`.
pub fn tag_index(repository: &str, name: &str, digest: &Digest) -> String {
    let (algorithm, encoded) = (algorithm(digest), digest.encoded());
    format!("{}/index/{algorithm}/{encoded}/link", tag(repository, name))
}

/// An upload's directory.
pub fn upload(repository: &str, id: &str) -> String {
    format!("{V2}/repositories/{repository}/_uploads/{id}")
}

fn algorithm(digest: &Digest) -> String {
    match digest {
        Digest::Sha256(_) => "sha256".to_owned(),
        Digest::Other(text) => text.split(':').next().unwrap_or_default().to_owned(),
    }
}
