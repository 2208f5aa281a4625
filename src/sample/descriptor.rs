//! What a manifest says about something it names.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::Digest;

/// A blob or manifest as another manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    /// The digest it is named by.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type; `None` for a layer that takes the usual type of the image it is put in.
    pub media_type: Option<String>,
    /// `os/architecture[/variant]`, for an index's entry.
    pub platform: Option<String>,
    /// Where a foreign layer is served.
    pub urls: Vec<String>,
    /// Annotations of an index's entry.
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of a blob that need not exist.
    pub fn new(digest: Digest, size: u64) -> Self {
        Self {
            digest,
            size,
            media_type: None,
            platform: None,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// A layer that its publisher serves and the registry does not hold.
    pub fn foreign_layer(name: &str, size: u64) -> Self {
        Self {
            urls: vec![format!("https://layers.example/{name}.tar.gz")],
            ..Self::new(Digest::of(name.as_bytes()), size)
        }
        .of_type(super::media_types::DOCKER_FOREIGN_LAYER)
    }

    /// The same with this media type.
    #[must_use]
    pub fn of_type(mut self, media_type: &str) -> Self {
        self.media_type = Some(media_type.to_owned());
        self
    }

    /// The same with this platform, `os/architecture[/variant]`.
    #[must_use]
    pub fn on_platform(mut self, platform: &str) -> Self {
        self.platform = Some(platform.to_owned());
        self
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// As a manifest writes it; `usual_type` stands in for a media type that is not set.
    pub fn to_json(&self, usual_type: &str) -> Value {
        let mut object = json!({
            "mediaType": self.media_type.as_deref().unwrap_or(usual_type),
            "digest": self.digest.to_string(),
            "size": self.size,
        });
        if let Some(platform) = &self.platform {
            let mut parts = platform.splitn(3, '/');
            object["platform"] = json!({
                "os": parts.next().unwrap_or_default(),
                "architecture": parts.next().unwrap_or_default(),
            });
            if let Some(variant) = parts.next() {
                object["platform"]["variant"] = variant.into();
            }
        }
        if !self.urls.is_empty() {
            object["urls"] = json!(self.urls);
        }
        if !self.annotations.is_empty() {
            object["annotations"] = json!(self.annotations);
        }
        object
    }
}
