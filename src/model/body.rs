//! The keys of manifests of every kind, filled from JSON without believing any of it.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::json::{Key, Lenient, List, Number, Shape};
use super::media_type;

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ManifestKind {
    /// Config and layers of a container image.
    Image,
    /// An OCI index or a Docker manifest list.
    Index,
    /// Config and blobs of something else: a chart, a signature, a bill of materials.
    Artifact,
    /// A Docker schema 1 manifest.
    Schema1,
    /// Something whose structure is not known.
    Unknown,
}

impl ManifestKind {
    /// As the `manifests` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Artifact => "artifact",
            Self::Schema1 => "schema1",
            Self::Unknown => "unknown",
        }
    }
}

/// What stands under a key.
pub struct Field<T> {
    /// The last value of the expected kind, as Go takes it.
    pub value: Option<T>,
    /// The key was met, whatever it holds.
    is_there: bool,
    /// It was met again.
    pub is_again: bool,
    /// It holds something else than it should.
    pub is_odd: bool,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { value: None, is_there: false, is_again: false, is_odd: false }
    }
}

impl<T> Field<T> {
    fn take(&mut self, new: Lenient<T>) {
        self.take_with(new, |_, new| new);
    }

    fn take_with(&mut self, new: Lenient<T>, join: impl Fn(T, T) -> T) {
        self.is_again |= self.is_there;
        self.is_there = true;
        self.is_odd |= new.is_odd;
        self.value = match (self.value.take(), new.value) {
            (Some(old), Some(new)) => Some(join(old, new)),
            (old, new) => new.or(old),
        };
    }

    /// Whether it is other than a body has it once and in one shape.
    fn is_irregular(&self) -> bool {
        self.is_again || self.is_odd
    }

    /// Whether it says anything.
    fn says_something(&self) -> bool {
        self.value.is_some() || self.is_irregular()
    }
}

type Text<'a> = Cow<'a, str>;

/// The top-level keys of all kinds of manifests together.
#[derive(Default)]
pub struct Body<'a> {
    schema_version: Option<u64>,
    pub media_type: Field<Text<'a>>,
    artifact_type: Field<Text<'a>>,
    pub config: Field<Descriptor<'a>>,
    pub layers: Field<List<Descriptor<'a>>>,
    pub manifests: Field<List<Descriptor<'a>>>,
    pub blobs: Field<List<Descriptor<'a>>>,
    pub subject: Field<Descriptor<'a>>,
    pub fs_layers: Field<List<FsLayer<'a>>>,
    pub history: Field<List<History<'a>>>,
}

impl<'a> Body<'a> {
    /// Its `mediaType`.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.value.as_deref()
    }

    /// OCI lets a body leave `mediaType` out: it is an index if and only if it has `manifests`.
    pub fn kind(&self) -> ManifestKind {
        match self.media_type() {
            _ if self.media_type.is_odd => ManifestKind::Unknown,
            Some(name) if media_type::is_index(name) => ManifestKind::Index,
            Some(name) if media_type::is_artifact_manifest(name) => ManifestKind::Artifact,
            Some(name) if media_type::is_image_manifest(name) => self.image_or_artifact(),
            Some(name) if !media_type::is_known_manifest(name) => ManifestKind::Unknown,
            _ => self.kind_by_keys(),
        }
    }

    fn kind_by_keys(&self) -> ManifestKind {
        let has_image = self.config.value.is_some() || self.layers.value.is_some();
        let has_fs_layers =
            self.fs_layers.value.as_ref().is_some_and(|list| !list.items.is_empty());
        if self.schema_version == Some(1) && has_fs_layers {
            ManifestKind::Schema1
        } else if self.manifests.value.is_some() {
            ManifestKind::Index
        } else if self.schema_version == Some(1) || has_fs_layers && !has_image {
            ManifestKind::Schema1
        } else if has_image {
            self.image_or_artifact()
        } else {
            ManifestKind::Unknown
        }
    }

    fn config_type(&self) -> Option<&Text<'a>> {
        self.config.value.as_ref().and_then(|config| config.media_type.as_ref())
    }

    fn layers(&self) -> &[Descriptor<'a>] {
        self.layers.value.as_ref().map_or(&[], |list| &list.items)
    }

    /// Signatures and attestations of the older kind carry an image's config type; only their
    /// layers show that nothing can be run.
    fn image_or_artifact(&self) -> ManifestKind {
        let layers = self.layers();
        let is_artifact = self.artifact_type.value.is_some()
            || self.config_type().is_some_and(|name| !media_type::is_image_config(name))
            || (!layers.is_empty()
                && layers.iter().all(|layer| {
                    layer.media_type.as_deref().is_some_and(|name| !media_type::is_layer(name))
                }));
        if is_artifact { ManifestKind::Artifact } else { ManifestKind::Image }
    }

    /// What an artifact says it is.
    pub fn artifact_type(&self, kind: ManifestKind) -> Option<Text<'a>> {
        if self.artifact_type.value.is_some() || kind != ManifestKind::Artifact {
            return self.artifact_type.value.clone();
        }
        self.config_type()
            .filter(|name| !media_type::is_image_config(name))
            .or_else(|| self.layers().first().and_then(|layer| layer.media_type.as_ref()))
            .cloned()
    }

    /// Whether something is there that the keys of this kind do not explain.
    pub fn is_irregular(&self, kind: ManifestKind) -> bool {
        let is_image = matches!(kind, ManifestKind::Image | ManifestKind::Artifact);
        let image = [
            (self.config.is_irregular(), self.config.says_something()),
            (self.layers.is_irregular(), self.layers.says_something()),
        ];
        let index = (self.manifests.is_irregular(), self.manifests.says_something());
        let schema1 = [
            (self.fs_layers.is_irregular(), self.fs_layers.says_something()),
            (self.history.is_irregular(), self.history.says_something()),
        ];
        let own = |is_own: bool, (is_irregular, says_something): (bool, bool)| {
            if is_own { is_irregular } else { says_something }
        };
        self.media_type.is_irregular()
            || self.artifact_type.is_irregular()
            || self.subject.is_irregular()
            || self.blobs.says_something()
            || image.into_iter().any(|key| own(is_image, key))
            || own(kind == ManifestKind::Index, index)
            || schema1.into_iter().any(|key| own(kind == ManifestKind::Schema1, key))
    }
}

#[derive(Default)]
pub struct Descriptor<'a> {
    pub media_type: Option<Text<'a>>,
    pub digest: Field<Text<'a>>,
    pub size: Option<u64>,
    pub platform: Option<String>,
    pub has_urls: bool,
}

impl Descriptor<'_> {
    /// Go fills a second object into the first.
    fn join(old: Self, new: Self) -> Self {
        Self {
            media_type: new.media_type.or(old.media_type),
            digest: if new.digest.value.is_some() { new.digest } else { old.digest },
            size: new.size.or(old.size),
            platform: new.platform.or(old.platform),
            has_urls: new.has_urls || old.has_urls,
        }
    }
}

#[derive(Default)]
struct Platform<'a> {
    os: Field<Text<'a>>,
    architecture: Field<Text<'a>>,
    variant: Field<Text<'a>>,
}

impl Platform<'_> {
    /// `os/architecture[/variant]`
    fn text(self) -> String {
        let os = self.os.value.unwrap_or("unknown".into());
        let architecture = self.architecture.value.unwrap_or("unknown".into());
        match self.variant.value {
            Some(variant) => format!("{os}/{architecture}/{variant}"),
            None => format!("{os}/{architecture}"),
        }
    }
}

/// An entry of schema 1's `fsLayers`.
#[derive(Default)]
pub struct FsLayer<'a> {
    pub blob_sum: Field<Text<'a>>,
}

/// An entry of schema 1's `history`.
#[derive(Default)]
pub struct History<'a> {
    pub v1_compatibility: Field<Text<'a>>,
}

/// Whether a list has entries.
struct HasEntries(bool);

impl<'de> Shape<'de> for HasEntries {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut has_entries = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            has_entries = true;
        }
        Ok(Some(Self(has_entries)))
    }
}

/// An empty text says as little as none.
fn non_empty(text: Lenient<Text<'_>>) -> Lenient<Text<'_>> {
    Lenient { value: text.value.filter(|text| !text.is_empty()), is_odd: text.is_odd }
}

/// Makes a struct a [`Shape`] that is filled key by key.
macro_rules! object {
    ($type:ident, |$target:ident, $map:ident| { $($key:literal => $action:expr,)+ }) => {
        impl<'de> Shape<'de> for $type<'de> {
            fn object<A: MapAccess<'de>>(mut $map: A) -> Result<Option<Self>, A::Error> {
                let mut $target = $type::default();
                while let Some(Key(key)) = $map.next_key()? {
                    match key.as_str() {
                        $($key => $action,)+
                        _ => { let IgnoredAny = $map.next_value()?; }
                    }
                }
                Ok(Some($target))
            }
        }
    };
}

object!(Body, |body, map| {
    "schemaversion" => {
        let version: Lenient<Number> = map.next_value()?;
        body.schema_version = version.value.and_then(|version| version.0).or(body.schema_version);
    },
    "mediatype" => body.media_type.take(non_empty(map.next_value()?)),
    "artifacttype" => body.artifact_type.take(non_empty(map.next_value()?)),
    "config" => body.config.take_with(map.next_value()?, Descriptor::join),
    "layers" => body.layers.take(map.next_value()?),
    "manifests" => body.manifests.take(map.next_value()?),
    "blobs" => body.blobs.take(map.next_value()?),
    "subject" => body.subject.take_with(map.next_value()?, Descriptor::join),
    "fslayers" => body.fs_layers.take(map.next_value()?),
    "history" => body.history.take(map.next_value()?),
});

object!(Descriptor, |descriptor, map| {
    "mediatype" => {
        let text = non_empty(map.next_value()?);
        descriptor.media_type = text.value.or(descriptor.media_type);
    },
    "digest" => descriptor.digest.take(map.next_value()?),
    "size" => {
        let size: Lenient<Number> = map.next_value()?;
        descriptor.size = size.value.map_or(descriptor.size, |size| size.0);
    },
    "platform" => {
        let platform: Lenient<Platform<'de>> = map.next_value()?;
        descriptor.platform = platform.value.map(Platform::text).or(descriptor.platform);
    },
    "urls" => {
        let urls: Lenient<HasEntries> = map.next_value()?;
        descriptor.has_urls = urls.value.map_or(descriptor.has_urls, |urls| urls.0);
    },
});

object!(Platform, |platform, map| {
    "os" => platform.os.take(non_empty(map.next_value()?)),
    "architecture" => platform.architecture.take(non_empty(map.next_value()?)),
    "variant" => platform.variant.take(non_empty(map.next_value()?)),
});

object!(FsLayer, |layer, map| {
    "blobsum" => layer.blob_sum.take(map.next_value()?),
});

object!(History, |entry, map| {
    "v1compatibility" => entry.v1_compatibility.take(map.next_value()?),
});
