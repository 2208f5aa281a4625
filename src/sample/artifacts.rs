//! What is stored in a registry and is no plain image.

use serde_json::json;
use sha2::Digest as _;

use super::builder::RegistryBuilder;
use super::descriptor::Descriptor;
use super::tree::{Content, Entry};
use super::{media_types, paths};
use crate::model::Digest;

impl RegistryBuilder {
    /// The attestation that every `docker buildx build` pushes beside an image; put it into the
    /// image's index.
    pub fn attestation(&mut self, repository: &str, image: &Descriptor) -> Descriptor {
        let subject = image.digest.to_string();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{"name": "_", "digest": {"sha256": image.digest.encoded()}}],
        });
        let layer = self.blob(statement.to_string()).of_type(media_types::IN_TOTO);
        self.image(repository)
            .oci()
            .layers([layer])
            .platform("unknown/unknown")
            .label("attests", &subject)
            .push()
            .annotated("vnd.docker.reference.type", "attestation-manifest")
            .annotated("vnd.docker.reference.digest", &subject)
    }

    /// An untagged artifact about `subject`, as the referrers API pushes it.
    pub fn referrer(
        &mut self,
        repository: &str,
        subject: &Descriptor,
        artifact_type: &str,
        content: &str,
    ) -> Descriptor {
        let layer = self.blob(content).of_type(artifact_type);
        self.image(repository).artifact_type(artifact_type).subject(subject).layers([layer]).push()
    }

    /// A cosign signature, tagged `sha256-<digits>.sig` after what it signs.
    pub fn cosign_signature(&mut self, repository: &str, image: &Descriptor) -> Descriptor {
        let signed = json!({
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": image.digest.to_string()},
                "type": "cosign container image signature",
            },
        });
        let layer = self.blob(signed.to_string()).of_type(media_types::COSIGN_SIGNATURE);
        let tag = format!("sha256-{}.sig", image.digest.encoded());
        self.image(repository)
            .oci()
            .layers([layer])
            .label("signs", &image.digest.to_string())
            .push_tag(&tag)
    }

    /// A Helm chart, tagged with its version.
    pub fn helm_chart(&mut self, repository: &str, version: &str, size: u64) -> Descriptor {
        let chart = self
            .layer(&format!("{repository} chart {version}"), size)
            .of_type(media_types::HELM_CHART);
        let name = repository.rsplit('/').next().unwrap_or(repository);
        let about = json!({"name": name, "version": version, "apiVersion": "v2"}).to_string();
        self.image(repository)
            .oci()
            .config(media_types::HELM_CONFIG, about)
            .layers([chart])
            .push_tag(version)
    }

    /// A BuildKit cache: an index whose `manifests` are layers and one config.
    pub fn buildkit_cache(
        &mut self,
        repository: &str,
        layers: &[Descriptor],
        tag: &str,
    ) -> Descriptor {
        let names: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
        let config = self
            .blob(json!({"layers": names, "records": []}).to_string())
            .of_type(media_types::BUILDKIT_CACHE_CONFIG);
        let mut children: Vec<Descriptor> =
            layers.iter().map(|layer| layer.clone().of_type(media_types::DOCKER_LAYER)).collect();
        children.push(config);
        for child in &children {
            self.link_layer(repository, &child.digest);
        }
        self.index(repository).children(&children).push_tag(tag)
    }

    /// A Docker schema 1 image: layers by `blobSum`, the empty layer among them twice, no sizes
    /// and no config.
    pub fn schema1(&mut self, repository: &str, layers: &[Descriptor], tag: &str) -> Descriptor {
        let empty = self.blob(EMPTY_LAYER);
        let mut fs_layers = vec![
            json!({"blobSum": empty.digest.to_string()}),
            json!({"blobSum": empty.digest.to_string()}),
        ];
        self.link_layer(repository, &empty.digest);
        // Newest first, the other way round than in all later formats.
        for layer in layers.iter().rev() {
            self.link_layer(repository, &layer.digest);
            fs_layers.push(json!({"blobSum": layer.digest.to_string()}));
        }
        let history = vec![json!({"v1Compatibility": "{\"id\":\"x\"}"}); fs_layers.len()];
        let body = json!({
            "schemaVersion": 1,
            "name": repository,
            "tag": tag,
            "architecture": "amd64",
            "fsLayers": fs_layers,
            "history": history,
            "signatures": [{"signature": "c2lnbmF0dXJl", "protected": "e30"}],
        });
        let manifest =
            self.manifest(repository, body.to_string()).of_type(media_types::DOCKER_SCHEMA1);
        self.tag(repository, tag, &manifest.digest);
        manifest
    }

    /// Names a blob of a repository by its sha512 digest as well, as the registry does for an
    /// upload that asked for one. Returns the layer as a manifest may then name it.
    pub fn sha512_alias(&mut self, repository: &str, layer: &Descriptor) -> Descriptor {
        let content = match self.tree.get(&paths::blob(&layer.digest)) {
            Some(Entry { content: Content::Bytes(bytes), .. }) => bytes.clone(),
            // A sparse layer's digest is not that of its content either.
            _ => layer.digest.to_string().into_bytes(),
        };
        let hash = sha2::Sha512::digest(content);
        let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let alias = Digest::Other(format!("sha512:{hex}").into());
        self.link_layer_alias(repository, &alias, &layer.digest);
        Descriptor { digest: alias, ..layer.clone() }
    }
}

/// The gzipped empty tar that Docker puts for a step without files
/// (`sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4`).
const EMPTY_LAYER: [u8; 32] = [
    31, 139, 8, 0, 0, 9, 110, 136, 0, 255, 98, 24, 5, 163, 96, 20, 140, 88, 0, 8, 0, 0, 255, 255,
    46, 175, 181, 239, 0, 4, 0, 0,
];
