//! OCI layouts made in code: what `skopeo copy oci:DIR:TAG` reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// `sha256:` and the hex digits.
pub fn digest_of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// What a manifest or index says of a blob.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()})
}

/// A manifest with all that it names, before it is pushed.
#[derive(Clone)]
pub struct Image {
    pub media_type: &'static str,
    pub manifest: Vec<u8>,
    /// Config and layers of an image.
    pub blobs: Vec<Vec<u8>>,
    /// Manifests of an index.
    pub children: Vec<Image>,
    /// `os`/`architecture` as an index names them.
    pub platform: (&'static str, &'static str),
}

impl Image {
    /// An image for linux/amd64 of these layers (see [`layer`]).
    pub fn of(layers: &[&[u8]]) -> Self {
        Self::for_platform(("linux", "amd64"), layers)
    }

    pub fn for_platform(platform: (&'static str, &'static str), layers: &[&[u8]]) -> Self {
        let (os, architecture) = platform;
        let config = json!({
            "os": os,
            "architecture": architecture,
            "created": "2026-01-02T03:04:05Z",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| digest_of(layer)).collect::<Vec<_>>(),
            },
            "history": layers.iter().map(|layer| json!({
                "created": "2026-01-02T03:04:05Z",
                "created_by": format!("COPY {} bytes /", layer.len()),
            })).collect::<Vec<_>>(),
        });
        let config = config.to_string().into_bytes();
        let layer = |bytes: &&[u8]| descriptor(OCI_LAYER, bytes);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &config),
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        let mut blobs = vec![config];
        blobs.extend(layers.iter().map(|bytes| bytes.to_vec()));
        Self {
            media_type: OCI_MANIFEST,
            manifest: manifest.to_string().into_bytes(),
            blobs,
            children: Vec::new(),
            platform,
        }
    }

    /// An index over images.
    pub fn index(children: Vec<Self>) -> Self {
        let entries = children.iter().map(|child| {
            let mut entry = descriptor(child.media_type, &child.manifest);
            let (os, architecture) = child.platform;
            entry["platform"] = json!({"os": os, "architecture": architecture});
            entry
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": entries.collect::<Vec<_>>(),
        });
        Self {
            media_type: OCI_INDEX,
            manifest: manifest.to_string().into_bytes(),
            blobs: Vec::new(),
            children,
            platform: ("", ""),
        }
    }

    pub fn digest(&self) -> String {
        digest_of(&self.manifest)
    }

    /// Digests of the config and layers, its own and its children's.
    pub fn blob_digests(&self) -> BTreeSet<String> {
        let mut digests: BTreeSet<_> = self.blobs.iter().map(|blob| digest_of(blob)).collect();
        digests.extend(self.children.iter().flat_map(Self::blob_digests));
        digests
    }

    /// [`Self::blob_digests`] and the digests of the manifests.
    pub fn all_digests(&self) -> BTreeSet<String> {
        let mut digests = self.blob_digests();
        digests.insert(self.digest());
        digests.extend(self.children.iter().map(Self::digest));
        digests
    }

    /// Writes an OCI layout in which `tag` names this image.
    pub fn write_layout(&self, directory: &Path, tag: &str) {
        self.write_blobs(&directory.join("blobs/sha256"));
        let mut entry = descriptor(self.media_type, &self.manifest);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        fs::write(directory.join("index.json"), index.to_string()).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    fn write_blobs(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        for bytes in self.blobs.iter().chain([&self.manifest]) {
            let digest = digest_of(bytes);
            fs::write(directory.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        }
        for child in &self.children {
            child.write_blobs(directory);
        }
    }
}

/// A gzipped tar with one file of `size` bytes; another `name` gives another layer.
pub fn layer(name: &str, size: usize) -> Vec<u8> {
    let seed = Sha256::digest(name);
    let content: Vec<u8> = seed.iter().copied().cycle().take(size).collect();
    gzip(&tar(name, &content))
}

/// A tar archive of one file: a header block, the content in whole blocks, two empty blocks.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let size = format!("{:011o}", content.len());
    let fields: [(usize, &[u8]); 8] = [
        (0, name.as_bytes()),
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, size.as_bytes()),
        (136, b"00000000000"),
        (148, b"        "),
        (156, b"0"),
    ];
    for (start, field) in fields {
        header[start..start + field.len()].copy_from_slice(field);
    }
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// Gzip without compression, which needs no library: stored blocks of at most 65,535 bytes.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = content.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        bytes.push(u8::from(blocks.peek().is_none()));
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(block);
    }
    bytes.extend(crc32(content).to_le_bytes());
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}
