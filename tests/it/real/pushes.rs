//! What people push, one function for each kind. A manifest that `skopeo` would not write goes by
//! plain HTTP.

use serde_json::{Value, json};

use super::layout::{Image, OCI_CONFIG, OCI_MANIFEST, descriptor, digest_of};
use super::registry::Registry;

pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Uploads all that a manifest names, and the manifest under `reference`.
pub fn put(registry: &Registry, repository: &str, reference: &str, image: &Image) {
    for child in &image.children {
        put(registry, repository, &child.digest(), child);
    }
    for blob in &image.blobs {
        registry.put_blob(repository, blob);
    }
    registry.put_manifest(repository, reference, &image.manifest, image.media_type);
}

/// A Docker schema 2 image, as `docker push` writes it. `foreign` adds a layer that lies elsewhere.
pub fn schema2(layers: &[&[u8]], foreign: Option<&str>) -> Image {
    let mut image = Image::of(layers);
    let mut named: Vec<Value> = layers.iter().map(|l| descriptor(DOCKER_LAYER, l)).collect();
    if let Some(url) = foreign {
        let media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let mut entry = descriptor(media_type, url.as_bytes());
        entry["urls"] = json!([url]);
        named.push(entry);
    }
    image.media_type = DOCKER_MANIFEST;
    image.manifest = body(&json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor(DOCKER_CONFIG, &image.blobs[0]),
        "layers": named,
    }));
    image
}

/// A Docker manifest list.
pub fn list(children: Vec<Image>) -> Image {
    let mut list = Image::index(children);
    let mut manifest: Value = serde_json::from_slice(&list.manifest).unwrap();
    manifest["mediaType"] = DOCKER_LIST.into();
    list.manifest = body(&manifest);
    list.media_type = DOCKER_LIST;
    list
}

/// An artifact: one blob of some type, an empty config, perhaps a subject it is about.
pub fn artifact(media_type: &str, content: &[u8], subject: Option<&Image>) -> Image {
    let config_type = "application/vnd.oci.empty.v1+json";
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": media_type,
        "config": descriptor(config_type, b"{}"),
        "layers": [descriptor(media_type, content)],
    });
    if let Some(subject) = subject {
        manifest["subject"] = descriptor(subject.media_type, &subject.manifest);
    }
    Image {
        media_type: OCI_MANIFEST,
        manifest: body(&manifest),
        blobs: vec![b"{}".to_vec(), content.to_vec()],
        children: Vec::new(),
        platform: ("unknown", "unknown"),
    }
}

/// A cosign signature of an image, and the tag it goes by.
pub fn signature(of: &Image) -> (String, Image) {
    let payload = json!({"critical": {"image": {"docker-manifest-digest": of.digest()}}});
    let payload = payload.to_string().into_bytes();
    let config = body(&json!({"architecture": "", "os": "", "rootfs": {"type": "layers"}}));
    let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
    let manifest = body(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &config),
        "layers": [descriptor(media_type, &payload)],
    }));
    let image = Image { manifest, blobs: vec![config, payload], ..artifact("", b"", None) };
    (format!("{}.sig", of.digest().replace(':', "-")), image)
}

/// A BuildKit attestation: a manifest about one platform of the index that it stands in.
pub fn attestation(of: &Image) -> Image {
    let statement = json!({"subject": [{"digest": {"sha256": of.digest()}}]});
    artifact("application/vnd.in-toto+json", &body(&statement), None)
}

/// A BuildKit cache: an index whose entries are layers and a cache config, not manifests.
pub fn build_cache(layers: &[&[u8]]) -> Image {
    let config = body(&json!({"layers": layers.iter().map(|l| digest_of(l)).collect::<Vec<_>>()}));
    let mut entries: Vec<Value> = layers.iter().map(|l| descriptor(DOCKER_LAYER, l)).collect();
    entries.push(descriptor("application/vnd.buildkit.cacheconfig.v0", &config));
    let mut blobs = vec![config];
    blobs.extend(layers.iter().map(|bytes| bytes.to_vec()));
    let mut cache = Image::index(Vec::new());
    let mut manifest: Value = serde_json::from_slice(&cache.manifest).unwrap();
    manifest["manifests"] = entries.into();
    cache.manifest = body(&manifest);
    cache.blobs = blobs;
    cache
}

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
