//! One index (OCI index or Docker manifest list).

use std::borrow::Borrow;

use serde_json::{Value, json};

use super::builder::RegistryBuilder;
use super::descriptor::Descriptor;
use super::media_types;

/// An index on its way into a repository. Its children are pushed on their own, or are absent.
#[derive(Debug)]
#[must_use = "nothing is put before `push` or `push_tag`"]
pub struct IndexBuilder<'r> {
    registry: &'r mut RegistryBuilder,
    repository: String,
    children: Vec<Descriptor>,
    media_type: &'static str,
    has_media_type: bool,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
}

impl RegistryBuilder {
    /// Begins an index, an OCI one unless said otherwise.
    pub fn index<'r>(&'r mut self, repository: &str) -> IndexBuilder<'r> {
        IndexBuilder::new(self, repository)
    }
}

impl<'r> IndexBuilder<'r> {
    pub(super) fn new(registry: &'r mut RegistryBuilder, repository: &str) -> Self {
        Self {
            registry,
            repository: repository.to_owned(),
            children: Vec::new(),
            media_type: media_types::OCI_INDEX,
            has_media_type: true,
            artifact_type: None,
            subject: None,
        }
    }

    /// Adds entries.
    pub fn children(mut self, children: impl IntoIterator<Item = impl Borrow<Descriptor>>) -> Self {
        self.children.extend(children.into_iter().map(|child| child.borrow().clone()));
        self
    }

    /// Makes it a Docker manifest list.
    pub fn docker(mut self) -> Self {
        self.media_type = media_types::DOCKER_LIST;
        self
    }

    /// Leaves `mediaType` out, as OCI allows.
    pub fn without_media_type(mut self) -> Self {
        self.has_media_type = false;
        self
    }

    /// Makes it an artifact of this type.
    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.artifact_type = Some(artifact_type.to_owned());
        self
    }

    /// Makes it a referrer of `subject`.
    pub fn subject(mut self, subject: &Descriptor) -> Self {
        self.subject = Some(subject.clone());
        self
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
        let body = self.body();
        let mut index = self.registry.manifest(&self.repository, body);
        index.media_type = Some(self.media_type.to_owned());
        for tag in tags {
            self.registry.tag(&self.repository, tag, &index.digest);
        }
        index
    }

    fn body(&self) -> String {
        let children: Vec<Value> =
            self.children.iter().map(|child| child.to_json(media_types::OCI_MANIFEST)).collect();
        let mut body = json!({"schemaVersion": 2, "manifests": children});
        if self.has_media_type {
            body["mediaType"] = self.media_type.into();
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
