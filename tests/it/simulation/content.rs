//! What clients push: a few layers, images over them, and indexes over those.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regsql::model::Digest;
use serde_json::json;
use sha2::Digest as _;

pub const V2: &str = "docker/registry/v2";
pub const REPOSITORIES: [&str; 3] = ["a", "a/b", "c"];
pub const TAGS: [&str; 3] = ["x", "y", "z"];

/// Something of [`CONTENTS`], by its place.
pub type Id = usize;

/// A blob, and what it names when it is a manifest.
pub struct Content {
    pub name: String,
    pub digest: Digest,
    pub hex: String,
    pub bytes: Vec<u8>,
    /// Layers and the config.
    pub blobs: Vec<Id>,
    /// Manifests that an index names.
    pub children: Vec<Id>,
}

pub const LAYERS: std::ops::Range<Id> = 0..7;
/// The layer of this place has the content of [`ALIASED`], and is named by its sha512.
pub const ALIAS: Id = 6;
pub const ALIASED: Id = 5;
pub const IMAGES: std::ops::Range<Id> = 7..13;
pub const INDEXES: std::ops::Range<Id> = 13..16;
/// What is about an image: a signature, a list of what is in it.
pub const REFERRERS: std::ops::Range<Id> = 16..18;
pub const MANIFESTS: std::ops::Range<Id> = 7..18;

pub static CONTENTS: LazyLock<Vec<Content>> = LazyLock::new(|| {
    let mut all: Vec<Content> = Vec::new();
    for number in LAYERS {
        // The first two are configs.
        let name = format!("layer {number}");
        let bytes = match number {
            0 | 1 => json!({"architecture": "amd64", "os": "linux", "number": number}).to_string(),
            ALIAS => format!("layer {ALIASED}"),
            _ => name.clone(),
        };
        all.push(if number == ALIAS { alias(bytes) } else { content(name, bytes, vec![], vec![]) });
    }
    let layers_of = [vec![2], vec![2, 3], vec![3, 4], vec![4], vec![4, 5], vec![ALIAS, 2]];
    for (number, layers) in layers_of.into_iter().enumerate() {
        let config = number % 2;
        let named = |id: Id, kind: &str| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": all[id].digest.to_string(),
                "size": all[id].bytes.len(),
            })
        };
        let layers_json: Vec<_> = layers.iter().map(|id| named(*id, "layer.v1.tar+gzip")).collect();
        let body = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": named(config, "config.v1+json"),
            "layers": layers_json,
            "annotations": {"number": number.to_string()},
        });
        let blobs = layers.into_iter().chain([config]).collect();
        all.push(content(format!("image {number}"), body.to_string(), blobs, vec![]));
    }
    for (number, children) in [vec![0, 1], vec![1, 2], vec![3, 5]].into_iter().enumerate() {
        let children: Vec<Id> = children.into_iter().map(|number| IMAGES.start + number).collect();
        let manifests: Vec<_> = children
            .iter()
            .map(|id: &Id| {
                json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": all[*id].digest.to_string(),
                    "size": all[*id].bytes.len(),
                })
            })
            .collect();
        let body = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        all.push(content(format!("index {number}"), body.to_string(), vec![], children));
    }
    for (number, subject) in [IMAGES.start + 1, INDEXES.start].into_iter().enumerate() {
        let named = |id: Id, media_type: &str| {
            json!({
                "mediaType": media_type,
                "digest": all[id].digest.to_string(),
                "size": all[id].bytes.len(),
            })
        };
        let body = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/spdx+json",
            "config": named(number, "application/vnd.oci.empty.v1+json"),
            "layers": [named(5, "application/spdx+json")],
            "subject": named(subject, "application/vnd.oci.image.manifest.v1+json"),
        });
        all.push(content(format!("referrer {number}"), body.to_string(), vec![5, number], vec![]));
    }
    all
});

fn content(name: String, bytes: String, blobs: Vec<Id>, children: Vec<Id>) -> Content {
    let bytes = bytes.into_bytes();
    let digest = Digest::of(&bytes);
    let hex = digest.encoded();
    Content { name, digest, hex, bytes, blobs, children }
}

/// A client may name a layer by another algorithm than the registry's own.
fn alias(bytes: String) -> Content {
    let hash = sha2::Sha512::digest(&bytes);
    let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let digest = Digest::parse(&format!("sha512:{hex}")).unwrap();
    let name = format!("layer {ALIASED} by its sha512");
    Content { name, digest, hex, bytes: bytes.into_bytes(), blobs: vec![], children: vec![] }
}

/// What a link to this leads to.
pub fn target(id: Id) -> Id {
    if id == ALIAS { ALIASED } else { id }
}

pub fn by_digest(digest: &Digest) -> Option<Id> {
    CONTENTS.iter().position(|content| content.digest == *digest)
}

pub fn repository(place: usize) -> PathBuf {
    Path::new(V2).join("repositories").join(REPOSITORIES[place])
}

pub fn blob(id: Id) -> PathBuf {
    let hex = &CONTENTS[target(id)].hex;
    Path::new(V2).join("blobs/sha256").join(&hex[..2]).join(hex).join("data")
}

pub fn layer_link(place: usize, id: Id) -> PathBuf {
    let algorithm = if id == ALIAS { "sha512" } else { "sha256" };
    repository(place).join("_layers").join(algorithm).join(&CONTENTS[id].hex).join("link")
}

pub fn revision(place: usize, id: Id) -> PathBuf {
    repository(place).join("_manifests/revisions/sha256").join(&CONTENTS[id].hex).join("link")
}

pub fn tag(place: usize, tag: usize) -> PathBuf {
    repository(place).join("_manifests/tags").join(TAGS[tag])
}

pub fn current(place: usize, tag_place: usize) -> PathBuf {
    tag(place, tag_place).join("current/link")
}
