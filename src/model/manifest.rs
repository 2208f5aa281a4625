//! Reading manifests of every kind, leniently: what can be understood is, what cannot is said.
//!
//! Keys are matched as Go's `encoding/json` does, without regard to case, and a key that comes
//! twice adds to the first: a registry has accepted such a manifest, and a reference overlooked is
//! an image lost. Sources: OCI image specification manifest.md and image-index.md; distribution
//! `manifest/schema1`; storage facts 20-27 of the project's notes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Digest, media_type};

/// The largest manifest that the registry reads, in bytes (distribution `registry/storage/io.go`).
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What part a manifest gives to something that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The config.
    Config,
    /// A layer.
    Layer,
    /// A manifest in an index.
    Manifest,
    /// The manifest that this one is about. The only role that does not keep what it names.
    Subject,
    /// Anything else.
    Blob,
}

impl Role {
    /// As the `manifest_references` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Manifest => "manifest",
            Self::Subject => "subject",
            Self::Blob => "blob",
        }
    }
}

/// One thing that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// What part it plays.
    pub role: Role,
    /// What is named.
    pub digest: Digest,
    /// The size that the manifest says, in bytes; `None` in schema 1.
    pub declared_bytes: Option<u64>,
    /// The media type that the manifest says.
    pub media_type: Option<Cow<'a, str>>,
    /// `os/architecture[/variant]` of an index entry.
    pub platform: Option<String>,
    /// The blob is fetched from elsewhere; the registry need not hold it.
    pub is_external: bool,
}

/// A manifest, as far as regsql needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// What it is.
    pub kind: ManifestKind,
    /// Its `mediaType`, which OCI manifests may leave out.
    pub media_type: Option<Cow<'a, str>>,
    /// What an artifact says it is.
    pub artifact_type: Option<Cow<'a, str>>,
    /// What it names, in the order of the body.
    pub references: Vec<Reference<'a>>,
    /// Texts that stand where a digest should.
    pub invalid_references: Vec<String>,
    /// Whether its media type is one that neither the registry nor regsql knows, so that every
    /// digest in the body was taken for a reference.
    pub is_type_unknown: bool,
    /// `v1Compatibility` texts of a schema 1 manifest, one a layer.
    pub v1_history: Vec<Cow<'a, str>>,
}

/// Parses the body of a manifest.
///
/// # Errors
/// When it is not one JSON object, or a known key has a value of another type.
pub fn parse_manifest(body: &[u8]) -> Result<Manifest<'_>, serde_json::Error> {
    let fields: Body<'_> = serde_json::from_slice(body)?;
    let kind = fields.kind();
    let artifact_type = fields.artifact_type(kind);
    let is_type_unknown =
        fields.media_type.as_deref().is_some_and(|name| !media_type::is_known_manifest(name));

    let mut references = References::default();
    if let Some(config) = fields.config {
        references.push(Role::Config, config);
    }
    for layer in fields.fs_layers {
        references.push_digest(Role::Layer, &layer);
    }
    for layer in fields.layers {
        references.push(Role::Layer, layer);
    }
    for child in fields.manifests.into_iter().flatten() {
        references.push(role_of_index_entry(child.media_type.as_deref()), child);
    }
    for blob in fields.blobs {
        references.push(Role::Blob, blob);
    }
    if let Some(subject) = fields.subject {
        references.push(Role::Subject, subject);
    }
    if is_type_unknown || kind == ManifestKind::Unknown {
        references.named.extend(references.found.iter().map(|found| found.digest.clone()));
        references.push_every_digest_in(&serde_json::from_slice(body)?);
    }
    Ok(Manifest {
        kind,
        media_type: fields.media_type,
        artifact_type,
        references: references.found,
        invalid_references: references.invalid,
        is_type_unknown,
        v1_history: fields.history,
    })
}

/// An index entry need not be a manifest: `BuildKit` caches list layers. An entry of a type that
/// is not known is taken for a manifest, and the scan looks at what it is.
fn role_of_index_entry(media_type: Option<&str>) -> Role {
    match media_type {
        Some(name) if media_type::is_layer(name) => Role::Layer,
        Some(name) if media_type::is_config(name) => Role::Config,
        _ => Role::Manifest,
    }
}

#[derive(Default)]
struct References<'a> {
    found: Vec<Reference<'a>>,
    /// What schema 1 and unknown manifests name again and again.
    named: HashSet<Digest>,
    invalid: Vec<String>,
}

impl<'a> References<'a> {
    fn push(&mut self, role: Role, descriptor: Descriptor<'a>) {
        match Digest::parse(descriptor.digest.as_deref().unwrap_or("")) {
            Ok(digest) => self.found.push(Reference {
                role,
                digest,
                declared_bytes: descriptor.size,
                is_external: descriptor.has_urls
                    || descriptor.media_type.as_deref().is_some_and(media_type::is_foreign),
                media_type: descriptor.media_type,
                platform: descriptor.platform,
            }),
            Err(error) => self.invalid.push(error.to_string()),
        }
    }

    fn push_digest(&mut self, role: Role, text: &str) {
        match Digest::parse(text) {
            // Schema 1 names the empty layer once for each command that made no file.
            Ok(digest) if !self.named.insert(digest.clone()) => {}
            Ok(digest) => self.found.push(Reference {
                role,
                digest,
                declared_bytes: None,
                media_type: (role == Role::Layer).then_some(media_type::SCHEMA1_LAYER.into()),
                platform: None,
                is_external: false,
            }),
            Err(error) => self.invalid.push(error.to_string()),
        }
    }

    fn push_every_digest_in(&mut self, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) if Digest::parse(text).is_ok() => {
                self.push_digest(Role::Blob, text);
            }
            Value::Array(items) => {
                for item in items {
                    self.push_every_digest_in(item);
                }
            }
            Value::Object(map) => {
                for item in map.values() {
                    self.push_every_digest_in(item);
                }
            }
            _ => {}
        }
    }
}

/// The top-level keys of all kinds of manifests together.
#[derive(Default)]
struct Body<'a> {
    schema_version: Option<u64>,
    media_type: Option<Cow<'a, str>>,
    artifact_type: Option<Cow<'a, str>>,
    config: Option<Descriptor<'a>>,
    layers: Vec<Descriptor<'a>>,
    manifests: Option<Vec<Descriptor<'a>>>,
    blobs: Vec<Descriptor<'a>>,
    subject: Option<Descriptor<'a>>,
    fs_layers: Vec<Cow<'a, str>>,
    history: Vec<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    /// OCI lets a body leave `mediaType` out: it is an index if and only if it has `manifests`.
    fn kind(&self) -> ManifestKind {
        let named = self.media_type.as_deref().unwrap_or("");
        if media_type::is_index(named) || self.manifests.is_some() {
            ManifestKind::Index
        } else if named == media_type::OCI_ARTIFACT {
            ManifestKind::Artifact
        } else if !named.is_empty() && !media_type::is_known_manifest(named) {
            ManifestKind::Unknown
        } else if self.schema_version == Some(1) || !self.fs_layers.is_empty() {
            ManifestKind::Schema1
        } else if self.config.is_none() && self.layers.is_empty() {
            ManifestKind::Unknown
        } else if self.is_artifact() {
            ManifestKind::Artifact
        } else {
            ManifestKind::Image
        }
    }

    fn config_type(&self) -> Option<&Cow<'a, str>> {
        self.config.as_ref().and_then(|config| config.media_type.as_ref())
    }

    /// Signatures and attestations of the older kind carry an image's config type; only their
    /// layers tell that nothing can be run.
    fn is_artifact(&self) -> bool {
        self.artifact_type.is_some()
            || self.config_type().is_some_and(|name| !media_type::is_image_config(name))
            || (!self.layers.is_empty()
                && self.layers.iter().all(|layer| {
                    layer.media_type.as_deref().is_some_and(|name| !media_type::is_layer(name))
                }))
    }

    fn artifact_type(&self, kind: ManifestKind) -> Option<Cow<'a, str>> {
        if self.artifact_type.is_some() || kind != ManifestKind::Artifact {
            return self.artifact_type.clone();
        }
        self.config_type()
            .filter(|name| !media_type::is_image_config(name))
            .or_else(|| self.layers.first().and_then(|layer| layer.media_type.as_ref()))
            .cloned()
    }
}

#[derive(Default)]
struct Descriptor<'a> {
    media_type: Option<Cow<'a, str>>,
    digest: Option<Cow<'a, str>>,
    size: Option<u64>,
    platform: Option<String>,
    has_urls: bool,
}

/// A key as Go compares it: ASCII letters without regard to case, and the two other characters
/// that fold into ASCII letters.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut key = String::deserialize(deserializer)?;
        if key.is_ascii() {
            key.make_ascii_lowercase();
        } else {
            key = key.to_ascii_lowercase().replace('\u{17f}', "s").replace('\u{212a}', "k");
        }
        Ok(Self(key))
    }
}

/// A string that borrows from the body where JSON escapes allow it; `null` is no string.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A size: any number; one that is negative or not whole says nothing.
struct Size(Option<u64>);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Option::<serde_json::Number>::deserialize(deserializer)?;
        Ok(Self(number.and_then(|number| number.as_u64())))
    }
}

/// Makes `Deserialize` for a struct that is filled key by key.
macro_rules! deserialize_object {
    ($type:ident, $what:literal, |$target:ident, $map:ident| { $($key:literal => $action:expr,)+ }) => {
        impl<'de> Deserialize<'de> for $type<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;
                impl<'de> Visitor<'de> for ObjectVisitor {
                    type Value = $type<'de>;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut $map: A) -> Result<Self::Value, A::Error> {
                        let mut $target = $type::default();
                        while let Some(Key(key)) = $map.next_key()? {
                            match key.as_str() {
                                $($key => $action,)+
                                _ => { let IgnoredAny = $map.next_value()?; }
                            }
                        }
                        Ok($target)
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    };
}

deserialize_object!(Body, "a manifest object", |body, map| {
    "schemaversion" => body.schema_version = map.next_value::<Size>()?.0,
    "mediatype" => body.media_type = map.next_value::<Text<'de>>()?.0.filter(|name| !name.is_empty()),
    "artifacttype" => body.artifact_type = map.next_value::<Text<'de>>()?.0.filter(|name| !name.is_empty()),
    "config" => keep_first(&mut body.config, &mut body.blobs, map.next_value()?),
    "layers" => body.layers.extend(map.next_value::<Option<Vec<_>>>()?.into_iter().flatten()),
    "manifests" => {
        let entries = map.next_value::<Option<Vec<_>>>()?.unwrap_or_default();
        body.manifests.get_or_insert_default().extend(entries);
    },
    "blobs" => body.blobs.extend(map.next_value::<Option<Vec<_>>>()?.into_iter().flatten()),
    "subject" => body.subject = map.next_value()?,
    "fslayers" => body.fs_layers.extend(map.next_value::<Inner<'de, FsLayer>>()?.texts),
    "history" => body.history.extend(map.next_value::<Inner<'de, History>>()?.texts),
});

deserialize_object!(Descriptor, "a descriptor object", |descriptor, map| {
    "mediatype" => descriptor.media_type = map.next_value::<Text<'de>>()?.0.filter(|name| !name.is_empty()),
    "digest" => descriptor.digest = map.next_value::<Text<'de>>()?.0,
    "size" => descriptor.size = map.next_value::<Size>()?.0,
    "platform" => descriptor.platform = map.next_value::<Option<Platform>>()?.map(Platform::text),
    "urls" => descriptor.has_urls = map.next_value::<Option<Vec<IgnoredAny>>>()?.is_some_and(|urls| !urls.is_empty()),
});

/// A second `config` is as much a reference as the first.
fn keep_first<'a>(
    slot: &mut Option<Descriptor<'a>>,
    others: &mut Vec<Descriptor<'a>>,
    new: Option<Descriptor<'a>>,
) {
    match (slot.is_some(), new) {
        (false, new) => *slot = new,
        (true, Some(new)) => others.push(new),
        (true, None) => {}
    }
}

#[derive(serde::Deserialize)]
struct Platform {
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    variant: Option<String>,
}

impl Platform {
    fn text(self) -> String {
        let mut text = format!(
            "{}/{}",
            self.os.as_deref().unwrap_or("unknown"),
            self.architecture.as_deref().unwrap_or("unknown")
        );
        if let Some(variant) = self.variant.filter(|variant| !variant.is_empty()) {
            text.push('/');
            text.push_str(&variant);
        }
        text
    }
}

/// Which key of the objects in a list is wanted.
trait WantedKey {
    const KEY: &'static str;
}
struct FsLayer;
impl WantedKey for FsLayer {
    const KEY: &'static str = "blobsum";
}
struct History;
impl WantedKey for History {
    const KEY: &'static str = "v1compatibility";
}

/// The texts under one key in a list of objects; anything else in the list is passed over, as
/// `history` means something else outside schema 1.
struct Inner<'a, W> {
    texts: Vec<Cow<'a, str>>,
    wanted: std::marker::PhantomData<W>,
}

impl<'de, W: WantedKey> Deserialize<'de> for Inner<'de, W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<W>(std::marker::PhantomData<W>);
        impl<'de, W: WantedKey> Visitor<'de> for ListVisitor<W> {
            type Value = Inner<'de, W>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of objects with `{}`", W::KEY)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Inner { texts: Vec::new(), wanted: self.0 })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(One::<'de, W> { text, .. }) = list.next_element()? {
                    texts.extend(text);
                }
                Ok(Inner { texts, wanted: self.0 })
            }
        }
        deserializer.deserialize_any(ListVisitor(std::marker::PhantomData))
    }
}

struct One<'a, W> {
    text: Option<Cow<'a, str>>,
    wanted: std::marker::PhantomData<W>,
}

impl<'de, W: WantedKey> Deserialize<'de> for One<'de, W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneVisitor<W>(std::marker::PhantomData<W>);
        impl<'de, W: WantedKey> Visitor<'de> for OneVisitor<W> {
            type Value = One<'de, W>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object with `{}`", W::KEY)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut text = None;
                while let Some(Key(key)) = map.next_key()? {
                    if key == W::KEY {
                        text = map.next_value::<Text<'de>>()?.0;
                    } else {
                        let IgnoredAny = map.next_value()?;
                    }
                }
                Ok(One { text, wanted: self.0 })
            }
        }
        deserializer.deserialize_map(OneVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const LAYER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn roles(body: &str) -> (ManifestKind, Vec<(Role, String)>) {
        let manifest = parse_manifest(body.as_bytes()).unwrap();
        let references = manifest.references.iter();
        (manifest.kind, references.map(|r| (r.role, r.digest.to_string())).collect())
    }

    #[test]
    fn an_image_without_media_type_is_an_image() {
        let body = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{CONFIG}","size":1}},"layers":[{{"digest":"{LAYER}","size":2}}]}}"#
        );
        let expected = vec![(Role::Config, CONFIG.into()), (Role::Layer, LAYER.into())];
        assert_eq!(roles(&body), (ManifestKind::Image, expected));
    }

    #[test]
    fn keys_match_as_go_matches_them() {
        let body = format!(
            r#"{{"LayerS":[{{"DIGEST":"{LAYER}"}}],"layer\u017f":[{{"digeſt":"{CONFIG}"}}]}}"#
        );
        let expected = vec![(Role::Layer, LAYER.into()), (Role::Layer, CONFIG.into())];
        assert_eq!(roles(&body), (ManifestKind::Image, expected));
    }

    #[test]
    fn an_unknown_type_gives_every_digest_in_it() {
        let body =
            format!(r#"{{"mediaType":"application/x-vendor","a":[{{"b":"{LAYER}"}},"{CONFIG}"]}}"#);
        let expected = vec![(Role::Blob, LAYER.into()), (Role::Blob, CONFIG.into())];
        assert_eq!(roles(&body), (ManifestKind::Unknown, expected));
    }

    #[test]
    fn schema1_names_each_layer_once_and_keeps_its_history() {
        let body = format!(
            r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{LAYER}"}},{{"blobSum":"{LAYER}"}}],"history":[{{"v1Compatibility":"{{}}"}}]}}"#
        );
        let manifest = parse_manifest(body.as_bytes()).unwrap();
        assert_eq!(manifest.kind, ManifestKind::Schema1);
        assert_eq!(manifest.references.len(), 1);
        assert_eq!(manifest.v1_history, ["{}"]);
    }

    #[test]
    fn a_buildkit_cache_lists_layers_in_an_index() {
        let body = format!(
            r#"{{"manifests":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"{LAYER}"}},{{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"{CONFIG}"}}]}}"#
        );
        let expected = vec![(Role::Layer, LAYER.into()), (Role::Config, CONFIG.into())];
        assert_eq!(roles(&body), (ManifestKind::Index, expected));
    }

    #[test]
    fn broken_bodies_are_errors_and_never_panics() {
        let deep = "[".repeat(10_000);
        for body in [
            "",
            "{",
            "[]",
            "{}{}",
            r#"{"layers":5}"#,
            r#"{"layers":[5]}"#,
            &format!("{{\"a\":{deep}"),
        ] {
            assert!(parse_manifest(body.as_bytes()).is_err(), "{body:.40}");
        }
    }

    #[test]
    fn an_empty_manifest_names_nothing() {
        assert_eq!(
            roles(r#"{"schemaVersion":2,"annotations":[]}"#),
            (ManifestKind::Unknown, vec![])
        );
    }

    #[test]
    fn a_reference_that_is_no_digest_is_told() {
        let manifest = parse_manifest(br#"{"layers":[{"digest":"sha256:../../etc"}]}"#).unwrap();
        assert_eq!(manifest.references, []);
        assert_eq!(
            manifest.invalid_references,
            ["`sha256:../../etc` is not a digest (expected sha256: and 64 hex digits)"]
        );
    }
}
