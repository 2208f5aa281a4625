//! Reading manifests of every kind: what the registry accepts and serves can be read.
//!
//! The registry reads only the keys of the media type at hand, so the same key may hold anything in
//! another type, and it matches keys as Go's `encoding/json` does ([`super::json`]). Where a key
//! comes twice, or holds something odd, every digest in the bytes counts as named besides: a
//! reference overlooked is an image lost. Sources: OCI image specification manifest.md and
//! image-index.md; distribution `manifest/schema1`, `schema2`, `ocischema`, `manifestlist` and
//! `registry/storage/manifeststore.go`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::body::{Body, Descriptor, Field, FsLayer, ManifestKind};
use super::json::{self, Lenient, List};
use super::{Digest, digests_in, media_type};

/// The largest manifest that the registry reads, in bytes (distribution `registry/storage/io.go`).
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// What something is to the manifest that names it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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
    /// What it is to the manifest.
    pub role: Role,
    /// What is named.
    pub digest: Digest,
    /// The size that the manifest says, in bytes; `None` in schema 1.
    pub declared_bytes: Option<u64>,
    /// The media type that the manifest says.
    pub media_type: Option<Cow<'a, str>>,
    /// `os/architecture[/variant]` of an index entry.
    pub platform: Option<String>,
    /// The registry need not hold it: a foreign layer, or a digest in a place that means nothing to
    /// the registry. It is kept all the same where it is there.
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
    /// What stands where a digest should: the first few, each as a sentence.
    pub invalid_references: Vec<String>,
    /// Whether it has a media type that the registry does not know. Every digest in its bytes counts
    /// as a reference.
    pub is_type_unknown: bool,
    /// `v1Compatibility` texts of a schema 1 manifest, one a layer.
    pub v1_history: Vec<Cow<'a, str>>,
}

/// What some editors write before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a text begins as a manifest does, after any amount of white space; `None` when it is all
/// white space so far.
pub fn begins_like_a_manifest(text: &[u8]) -> Option<bool> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.trim_ascii_start().first().map(|byte| *byte == b'{')
}

/// Parses the body of a manifest.
///
/// # Errors
/// When it is not one JSON object. A value that makes no sense is not an error.
pub fn parse_manifest(body: &[u8]) -> Result<Manifest<'_>, serde_json::Error> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    read(body, body).or_else(|error| {
        let plain = json::as_go_reads(body);
        read(&plain, body).map(Manifest::into_owned).map_err(|_| error)
    })
}

/// Reads `bytes`, which are what Go makes of `original`.
fn read<'a>(bytes: &'a [u8], original: &[u8]) -> Result<Manifest<'a>, serde_json::Error> {
    let Lenient { value, .. } = serde_json::from_slice::<Lenient<Body<'_>>>(bytes)?;
    let body = value.ok_or_else(|| serde::de::Error::custom("it is not a JSON object"))?;
    let kind = body.kind();
    let artifact_type = body.artifact_type(kind);
    let is_type_unknown = body.media_type.is_odd
        || body.media_type().is_some_and(|name| !media_type::is_known_manifest(name));

    let mut references = References {
        is_irregular: is_type_unknown || kind == ManifestKind::Unknown || body.is_irregular(kind),
        ..References::default()
    };
    match kind {
        ManifestKind::Image | ManifestKind::Artifact => {
            references.push_config(body.config);
            references.push_list("layers", body.layers, |_| Role::Layer);
            if is_type_unknown {
                references.push_list("blobs", body.blobs, |_| Role::Blob);
            }
        }
        ManifestKind::Index => {
            references.push_list("manifests", body.manifests, role_of_index_entry);
        }
        ManifestKind::Schema1 => references.push_fs_layers(body.fs_layers),
        // What each key means is not known.
        ManifestKind::Unknown => {}
    }
    references.push_subject(body.subject);
    if references.is_irregular {
        references.push_every_digest_in(original);
    }
    let history = body.history.value.into_iter().flat_map(|history| history.items);
    Ok(Manifest {
        kind,
        media_type: body.media_type.value,
        artifact_type,
        references: references.found,
        invalid_references: references.invalid,
        is_type_unknown,
        v1_history: history.filter_map(|entry| entry.v1_compatibility.value).collect(),
    })
}

impl Manifest<'_> {
    /// Something of which no more is known than that these digests occur in it.
    pub(super) fn of_digests(digests: Vec<Digest>) -> Self {
        Self {
            kind: ManifestKind::Unknown,
            media_type: None,
            artifact_type: None,
            references: digests.into_iter().map(Reference::occurring).collect(),
            invalid_references: Vec::new(),
            is_type_unknown: false,
            v1_history: Vec::new(),
        }
    }

    fn into_owned(self) -> Manifest<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Manifest {
            kind: self.kind,
            media_type: self.media_type.map(owned),
            artifact_type: self.artifact_type.map(owned),
            references: self.references.into_iter().map(Reference::into_owned).collect(),
            invalid_references: self.invalid_references,
            is_type_unknown: self.is_type_unknown,
            v1_history: self.v1_history.into_iter().map(owned).collect(),
        }
    }
}

impl Reference<'_> {
    /// A digest that occurs in a body, whatever it means there.
    fn occurring(digest: Digest) -> Self {
        Self {
            role: Role::Blob,
            digest,
            declared_bytes: None,
            media_type: None,
            platform: None,
            is_external: true,
        }
    }

    fn into_owned(self) -> Reference<'static> {
        let media_type = self.media_type.map(|text| Cow::Owned(text.into_owned()));
        Reference { media_type, ..self }
    }
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

/// Wrong references that are remembered: one is enough to know.
const MAX_INVALID_REFERENCES: usize = 8;

#[derive(Default)]
struct References<'a> {
    found: Vec<Reference<'a>>,
    invalid: Vec<String>,
    /// Something is there that the keys of the media type do not explain, so every digest in the
    /// bytes counts.
    is_irregular: bool,
}

impl<'a> References<'a> {
    fn push(&mut self, role: Role, descriptor: Descriptor<'a>) {
        self.is_irregular |= descriptor.digest.is_again;
        match Digest::parse(descriptor.digest.value.as_deref().unwrap_or("")) {
            Ok(digest) => self.found.push(Reference {
                role,
                digest,
                declared_bytes: descriptor.size,
                is_external: descriptor.has_urls
                    || descriptor.media_type.as_deref().is_some_and(media_type::is_foreign),
                media_type: descriptor.media_type,
                platform: descriptor.platform,
            }),
            Err(error) => self.push_invalid(error.to_string()),
        }
    }

    fn push_invalid(&mut self, sentence: String) {
        self.is_irregular = true;
        if self.invalid.len() < MAX_INVALID_REFERENCES {
            self.invalid.push(sentence);
        }
    }

    fn push_config(&mut self, field: Field<Descriptor<'a>>) {
        if field.is_odd {
            self.push_invalid("`config` is not a descriptor".into());
        }
        if let Some(config) = field.value {
            self.push(Role::Config, config);
        }
    }

    fn push_list(
        &mut self,
        key: &str,
        field: Field<List<Descriptor<'a>>>,
        role: impl Fn(Option<&str>) -> Role,
    ) {
        let list = field.value.unwrap_or_default();
        if field.is_odd || list.odd_count > 0 {
            self.push_invalid(format!("`{key}` is not a list of descriptors"));
        }
        for entry in list.items {
            // Go fills an entry of a second list into the entry of the first.
            if !(field.is_again && entry.digest.value.is_none()) {
                self.push(role(entry.media_type.as_deref()), entry);
            }
        }
    }

    fn push_fs_layers(&mut self, field: Field<List<FsLayer<'a>>>) {
        let list = field.value.unwrap_or_default();
        if field.is_odd || list.odd_count > 0 {
            self.push_invalid("`fsLayers` is not a list of objects".into());
        }
        let mut named = HashSet::new();
        for layer in list.items {
            match Digest::parse(layer.blob_sum.value.as_deref().unwrap_or("")) {
                // Schema 1 names the empty layer once for each command that made no file.
                Ok(digest) if !named.insert(digest.clone()) => {}
                Ok(digest) => self.found.push(Reference {
                    role: Role::Layer,
                    digest,
                    declared_bytes: None,
                    media_type: Some(media_type::SCHEMA1_LAYER.into()),
                    platform: None,
                    is_external: false,
                }),
                Err(error) => self.push_invalid(error.to_string()),
            }
        }
    }

    /// A subject means nothing to the registry, so one that is odd is no fault.
    fn push_subject(&mut self, field: Field<Descriptor<'a>>) {
        if let Some(subject) = field.value {
            if subject.digest.value.as_deref().is_some_and(|text| Digest::parse(text).is_ok()) {
                self.push(Role::Subject, subject);
            } else {
                self.is_irregular = true;
            }
        }
    }

    fn push_every_digest_in(&mut self, bytes: &[u8]) {
        let known: HashSet<Digest> =
            self.found.iter().map(|reference| reference.digest.clone()).collect();
        let others = digests_in(bytes).into_iter().filter(|digest| !known.contains(digest));
        self.found.extend(others.map(Reference::occurring));
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
        // As in Go, the last one counts; what the first one names is kept all the same.
        let expected = vec![(Role::Layer, CONFIG.into()), (Role::Blob, LAYER.into())];
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
        for body in ["", "{", "[]", "{}{}", &format!("{{\"a\":{deep}")] {
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
    fn keys_that_a_type_has_not_are_passed_over_and_keep_what_they_name() {
        let image = format!(
            r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"digest":"{CONFIG}","size":1}},"layers":[]"#
        );
        for odd in [
            r#""history":{"a":1}"#,
            r#""history":1e999"#,
            r#""blobs":5"#,
            r#""blobs":{"x":[[[]]]}"#,
            r#""fsLayers":"none""#,
            r#""manifests":[null,{"digest":"none"}]"#,
            r#""subject":"app:v1""#,
            r#""subject":{"digest":"app:v1"}"#,
            r#""artifactType":7"#,
            r#""annotations":{"\ud800":"\udc00"}"#,
            r#""\ud800":["\udc00"]"#,
        ] {
            let body = format!("{{{image},{odd}}}");
            let manifest = parse_manifest(body.as_bytes()).unwrap();
            assert_eq!(manifest.kind, ManifestKind::Image, "{odd}");
            assert_eq!(manifest.references.len(), 1, "{odd}");
            assert_eq!(manifest.invalid_references, [""; 0], "{odd}");
            let body = format!(r#"{{{image},{odd},"subject":{{"{LAYER}":0}}}}"#);
            let manifest = parse_manifest(body.as_bytes()).unwrap();
            let named = manifest.references.last().unwrap();
            assert!(named.digest.to_string() == LAYER && named.is_external, "{odd}");
        }
    }

    #[test]
    fn an_odd_value_where_the_registry_wants_a_list_is_an_invalid_reference() {
        for body in [r#"{"layers":5,"config":{}}"#, r#"{"layers":[5]}"#, r#"{"manifests":[[]]}"#] {
            let manifest = parse_manifest(body.as_bytes()).unwrap();
            assert!(!manifest.invalid_references.is_empty(), "{body}");
        }
    }

    #[test]
    fn a_digest_that_comes_twice_counts_twice() {
        let body = format!(
            r#"{{"config":{{"digest":"{CONFIG}","size":1}},"layers":[{{"digest":"{LAYER}","digest":"{CONFIG}"}}]}}"#
        );
        let expected = vec![
            (Role::Config, CONFIG.into()),
            (Role::Layer, CONFIG.into()),
            (Role::Blob, LAYER.into()),
        ];
        assert_eq!(roles(&body), (ManifestKind::Image, expected));
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
