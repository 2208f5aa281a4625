//! The one rule for what a blob names and how certain that is. Whatever follows references (a scan,
//! a deletion, a rescue from the trash) asks here, so that no two of them disagree.
//!
//! | what was read | expected certainly | likely | hardly |
//! |---|---|---|---|
//! | nothing: an error | uncertain | uncertain | uncertain |
//! | more than 4 MiB, which no registry reads | uncertain | no manifest | no manifest |
//! | no JSON object | uncertain | uncertain if it begins like one | no manifest |
//! | an object with neither a known structure nor a media type | uncertain | no manifest | no manifest |
//! | a type that the registry does not know | uncertain | uncertain | a manifest |
//! | a manifest with other content than its digest says | uncertain | uncertain | uncertain |
//! | a manifest that names something that is no digest | uncertain | uncertain | uncertain |
//! | any other manifest | a manifest | a manifest | a manifest |
//!
//! Uncertain means: keep all that it is known to name, and all that its repository links.

use super::{
    Code, Digest, Manifest, ManifestKind, Role, begins_like_a_manifest, digests_in, media_type,
    parse_manifest,
};

/// How sure it is, before a blob is read, that it is a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Nothing says so: a blob that nothing names, or that is named as something else.
    Unlikely,
    /// An index names it and does not say what it is.
    Likely,
    /// A link or a media type says so.
    Certain,
}

impl Certainty {
    /// For something that a manifest of `kind` names, with a manifest's media type or another one.
    /// `None`: no registry serves it as a manifest for that.
    pub fn of_named(kind: ManifestKind, role: Role, has_manifest_type: bool) -> Option<Self> {
        match role {
            Role::Manifest if has_manifest_type => Some(Self::Certain),
            Role::Manifest => Some(Self::Likely),
            Role::Blob => Some(Self::Unlikely),
            // In an index, what says that it is a layer or config may be a manifest all the same.
            Role::Layer | Role::Config => (kind == ManifestKind::Index).then_some(Self::Unlikely),
            Role::Subject => None,
        }
    }
}

/// Why a blob was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has more than [`super::MAX_MANIFEST_BYTES`].
    TooLarge,
    /// It is not there.
    Missing,
    /// Reading it failed, with this message.
    Failed(String),
}

/// What a blob is.
#[derive(Debug, PartialEq, Eq)]
pub enum Classified<'a> {
    /// No registry serves it as a manifest.
    NotAManifest,
    /// A manifest that names its references and nothing else.
    Manifest(Manifest<'a>),
    /// It may name anything.
    Uncertain {
        /// What of it could be understood; its references are at least every digest in the bytes.
        /// `None` when nothing could be read.
        manifest: Option<Manifest<'a>>,
        /// The finding.
        code: Code,
        /// What is wrong, in words.
        detail: String,
    },
}

impl Classified<'_> {
    fn uncertain(code: Code, detail: impl Into<String>) -> Self {
        Self::Uncertain { manifest: None, code, detail: detail.into() }
    }

    /// Whether it may name anything that its repository links.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. })
    }

    /// What it names and keeps, which is all but its subject, and how sure it is that this is a
    /// manifest in turn.
    pub fn kept(&self) -> impl Iterator<Item = (&Digest, Option<Certainty>)> {
        let manifest = match self {
            Self::NotAManifest => None,
            Self::Manifest(manifest) => Some(manifest),
            Self::Uncertain { manifest, .. } => manifest.as_ref(),
        };
        manifest.into_iter().flat_map(|manifest| {
            let kept = manifest.references.iter();
            kept.filter(|reference| reference.role != Role::Subject).map(|reference| {
                let media_type = reference.media_type.as_deref();
                let is_typed = media_type.is_some_and(media_type::is_manifest);
                (&reference.digest, Certainty::of_named(manifest.kind, reference.role, is_typed))
            })
        })
    }
}

/// Says what the blob `digest` is, of which `content` was read.
pub fn classify<'a>(
    digest: &Digest,
    content: Result<&'a [u8], Unread>,
    expected: Certainty,
) -> Classified<'a> {
    let is_certain = expected == Certainty::Certain;
    let content = match content {
        Ok(content) => content,
        Err(Unread::TooLarge) if is_certain => {
            return Classified::uncertain(Code::ManifestTooLarge, "it has more than 4 MiB");
        }
        Err(Unread::TooLarge) => return Classified::NotAManifest,
        Err(Unread::Missing) => {
            return Classified::uncertain(Code::ManifestMissing, "the manifest is not there");
        }
        // What cannot be read now is not known to be no manifest.
        Err(Unread::Failed(message)) => {
            return Classified::uncertain(Code::FileUnreadable, message);
        }
    };
    // A flipped bit in a digest makes another digest: what the manifest meant is then unknown.
    let other_digest = || Some(Digest::of(content)).filter(|actual| is_other(digest, actual));
    let manifest = match parse_manifest(content) {
        Ok(manifest) => manifest,
        Err(error) => {
            let was_one =
                expected == Certainty::Likely && begins_like_a_manifest(content) == Some(true);
            if !is_certain && !was_one {
                return Classified::NotAManifest;
            }
            let code = match (digest, other_digest()) {
                (Digest::Sha256(_), None) => Code::NotAManifest,
                _ => Code::ManifestUnreadable,
            };
            let detail = match content {
                [] => "it is empty".to_owned(),
                _ => format!("it cannot be parsed: {error}"),
            };
            return Classified::Uncertain { manifest: Some(nameless(content)), code, detail };
        }
    };
    if !is_certain && !looks_like_a_manifest(&manifest) {
        return Classified::NotAManifest;
    }
    let (code, detail) = if let Some(actual) = other_digest() {
        (Code::ManifestUnreadable, format!("its content has another digest, {actual}"))
    } else if let Some(sentence) = manifest.invalid_references.first() {
        (Code::ReferenceInvalid, sentence.clone())
    } else if expected != Certainty::Unlikely
        && (manifest.is_type_unknown || manifest.kind == ManifestKind::Unknown)
    {
        let detail = match manifest.media_type.as_deref() {
            Some(name) => format!("its type is {name}"),
            None => "it does not say its type".to_owned(),
        };
        (Code::ManifestTypeUnknown, detail)
    } else {
        return Classified::Manifest(manifest);
    };
    Classified::Uncertain { manifest: Some(manifest), code, detail }
}

fn is_other(name: &Digest, actual: &Digest) -> bool {
    matches!(name, Digest::Sha256(_)) && name != actual
}

/// An image config and any other JSON parse as a manifest that names nothing.
fn looks_like_a_manifest(manifest: &Manifest<'_>) -> bool {
    // A digest that merely occurs in the bytes says nothing of what they are.
    let is_structured =
        manifest.references.iter().any(|named| named.role != Role::Blob || !named.is_external);
    manifest.media_type.is_some() || is_structured
}

/// A body of which nothing but the digests in it is known.
fn nameless(content: &[u8]) -> Manifest<'static> {
    Manifest::of_digests(digests_in(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_body_that_is_what_its_digest_says_is_never_called_damaged() {
        for body in ["[]", "", "a layer", "{\"layers\":", "{\"layers\":5}", "{}", "null"] {
            let digest = Digest::of(body.as_bytes());
            let classified = classify(&digest, Ok(body.as_bytes()), Certainty::Certain);
            let Classified::Uncertain { code, .. } = classified else {
                panic!("{body}: {classified:?}");
            };
            assert_ne!(code, Code::ManifestUnreadable, "{body}");
        }
    }

    #[test]
    fn what_was_cut_short_still_names_what_is_left() {
        let body = format!(r#"{{"layers":[{{"digest":"sha256:{A}"}},{{"digest":"sha256:{B}"#);
        let other = Digest::of(b"the whole");
        let classified = classify(&other, Ok(body.as_bytes()), Certainty::Certain);
        assert!(classified.is_uncertain());
        let kept: Vec<String> = classified.kept().map(|(digest, _)| digest.to_string()).collect();
        assert_eq!(kept, [format!("sha256:{A}"), format!("sha256:{B}")]);
    }

    #[test]
    fn a_config_or_a_layer_is_no_manifest_however_much_json_it_is() {
        for body in [
            format!(
                r#"{{"architecture":"amd64","config":{{"Image":"sha256:{A}"}},"history":[{{}}]}}"#
            ),
            format!(r#"{{"_type":"statement","subject":[{{"digest":{{"sha256":"{A}"}}}}]}}"#),
            "{\"a\":1}\n{\"b\":2}".to_owned(),
        ] {
            let digest = Digest::of(body.as_bytes());
            let classified = classify(&digest, Ok(body.as_bytes()), Certainty::Unlikely);
            assert_eq!(classified, Classified::NotAManifest, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_be_a_manifest() {
        let digest = Digest::of(b"x");
        for expected in [Certainty::Unlikely, Certainty::Likely, Certainty::Certain] {
            let unread = Unread::Failed("Input/output error".into());
            assert!(classify(&digest, Err(unread), expected).is_uncertain());
        }
        let too_large = classify(&digest, Err(Unread::TooLarge), Certainty::Likely);
        assert_eq!(too_large, Classified::NotAManifest);
    }
}
