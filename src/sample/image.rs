//! One image or artifact manifest with its config.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::builder::RegistryBuilder;
use super::descriptor::Descriptor;
use super::media_types;
use crate::model::Digest;

/// An image on its way into a repository; [`push`](Self::push) or [`push_tag`](Self::push_tag) ends it.
#[derive(Debug)]
#[must_use = "nothing is put before `push` or `push_tag`"]
pub struct ImageBuilder<'r> {
    registry: &'r mut RegistryBuilder,
    repository: String,
    layers: Vec<Descriptor>,
    history: Vec<Step>,
    platform: String,
    created: String,
    labels: BTreeMap<String, String>,
    config: Option<(String, Vec<u8>)>,
    is_oci: bool,
    has_media_type: bool,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
}

/// One row of an image config's history.
#[derive(Debug)]
struct Step {
    created_by: String,
    is_empty: bool,
}

impl RegistryBuilder {
    /// Begins an image, a Docker one unless said otherwise.
    pub fn image<'r>(&'r mut self, repository: &str) -> ImageBuilder<'r> {
        ImageBuilder::new(self, repository)
    }
}

impl<'r> ImageBuilder<'r> {
    pub(super) fn new(registry: &'r mut RegistryBuilder, repository: &str) -> Self {
        Self {
            registry,
            repository: repository.to_owned(),
            layers: Vec::new(),
            history: Vec::new(),
            platform: "linux/amd64".to_owned(),
            created: "2026-01-02T03:04:05Z".to_owned(),
            labels: BTreeMap::new(),
            config: None,
            is_oci: false,
            has_media_type: true,
            artifact_type: None,
            subject: None,
        }
    }

    /// Adds layers, bottom first.
    pub fn layers(mut self, layers: impl IntoIterator<Item = impl Borrow<Descriptor>>) -> Self {
        self.layers.extend(layers.into_iter().map(|layer| layer.borrow().clone()));
        self
    }

    /// Adds the build commands behind the layers, one a layer.
    pub fn created_by(mut self, commands: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.history.extend(
            commands
                .into_iter()
                .map(|command| Step { created_by: command.into(), is_empty: false }),
        );
        self
    }

    /// Adds a layer and the build command behind it.
    pub fn step(self, command: &str, layer: &Descriptor) -> Self {
        self.layers([layer]).created_by([command])
    }

    /// Adds a build command that made no layer (`ENV`, `CMD`).
    pub fn empty_step(mut self, command: &str) -> Self {
        self.history.push(Step { created_by: command.to_owned(), is_empty: true });
        self
    }

    /// Sets the platform, `linux/amd64` unless said otherwise: `os/architecture[/variant]`.
    pub fn platform(mut self, platform: &str) -> Self {
        platform.clone_into(&mut self.platform);
        self
    }

    /// Sets the config's creation time, RFC 3339.
    pub fn created(mut self, time: &str) -> Self {
        time.clone_into(&mut self.created);
        self
    }

    /// Adds a label to the config, which makes it another image than one with the same layers.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the config's media type and bytes instead of those of a runnable image.
    pub fn config(mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        self.config = Some((media_type.to_owned(), content.into()));
        self
    }

    /// Makes it an OCI manifest.
    pub fn oci(mut self) -> Self {
        self.is_oci = true;
        self
    }

    /// Leaves `mediaType` out of the manifest, as OCI allows.
    pub fn without_media_type(mut self) -> Self {
        self.has_media_type = false;
        self.oci()
    }

    /// Makes it an OCI artifact of this type, with the empty config unless one is set.
    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.artifact_type = Some(artifact_type.to_owned());
        if self.config.is_none() {
            self.config = Some((media_types::OCI_EMPTY.to_owned(), b"{}".to_vec()));
        }
        self.oci()
    }

    /// Makes it a referrer of `subject`.
    pub fn subject(mut self, subject: &Descriptor) -> Self {
        self.subject =
            Some(Descriptor { platform: None, annotations: BTreeMap::new(), ..subject.clone() });
        self.oci()
    }

    /// Pushes it by digest, without a tag.
    pub fn push(self) -> Descriptor {
        self.push_tags([])
    }

    /// Pushes it and points a tag at it.
    pub fn push_tag(self, tag: &str) -> Descriptor {
        self.push_tags([tag])
    }

    /// Pushes it and points several tags at it.
    pub fn push_tags<'t>(self, tags: impl IntoIterator<Item = &'t str>) -> Descriptor {
        let (config_type, config) = self.config_content();
        let config = self.registry.blob(config).of_type(&config_type);
        let body = self.manifest_body(&config);
        self.registry.link_layer(&self.repository, &config.digest);
        for layer in &self.layers {
            // Foreign layers are never uploaded; another digest than sha256 is an alias, whose link
            // holds the sha256 one.
            let is_uploaded = layer.urls.is_empty();
            if is_uploaded && matches!(layer.digest, Digest::Sha256(_)) {
                self.registry.link_layer(&self.repository, &layer.digest);
            }
        }
        let mut manifest = self.registry.manifest(&self.repository, body);
        manifest.media_type = Some(self.manifest_type().to_owned());
        if self.config.is_none() {
            manifest.platform = Some(self.platform);
        }
        for tag in tags {
            self.registry.tag(&self.repository, tag, &manifest.digest);
        }
        manifest
    }

    fn manifest_type(&self) -> &'static str {
        if self.is_oci { media_types::OCI_MANIFEST } else { media_types::DOCKER_MANIFEST }
    }

    fn config_content(&self) -> (String, Vec<u8>) {
        if let Some((media_type, content)) = &self.config {
            return (media_type.clone(), content.clone());
        }
        let media_type =
            if self.is_oci { media_types::OCI_CONFIG } else { media_types::DOCKER_CONFIG };
        let mut platform = self.platform.splitn(3, '/');
        let history: Vec<Value> = self
            .history
            .iter()
            .map(|step| {
                let mut row = json!({"created": self.created, "created_by": step.created_by});
                if step.is_empty {
                    row["empty_layer"] = true.into();
                }
                row
            })
            .collect();
        // The digest of a layer's unpacked tar; nothing here unpacks, so any digest will do.
        let diff_ids: Vec<String> = self
            .layers
            .iter()
            .map(|layer| Digest::of(layer.digest.to_string().as_bytes()).to_string())
            .collect();
        let mut config = json!({
            "os": platform.next().unwrap_or_default(),
            "architecture": platform.next().unwrap_or_default(),
            "created": self.created,
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Labels": self.labels,
            },
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        if let Some(variant) = platform.next() {
            config["variant"] = variant.into();
        }
        (media_type.to_owned(), config.to_string().into_bytes())
    }

    fn manifest_body(&self, config: &Descriptor) -> String {
        let layer_type =
            if self.is_oci { media_types::OCI_LAYER } else { media_types::DOCKER_LAYER };
        let layers: Vec<Value> =
            self.layers.iter().map(|layer| layer.to_json(layer_type)).collect();
        let mut body = json!({
            "schemaVersion": 2,
            "config": config.to_json(""),
            "layers": layers,
        });
        if self.has_media_type {
            body["mediaType"] = self.manifest_type().into();
        }
        if let Some(artifact_type) = &self.artifact_type {
            body["artifactType"] = artifact_type.as_str().into();
        }
        if let Some(subject) = &self.subject {
            body["subject"] = subject.to_json(media_types::OCI_MANIFEST);
        }
        body.to_string()
    }
}
