//! What a blob that may be a manifest names. It follows what the scan follows
//! ([`crate::scan`]), and where the scan would not know, neither does this.

use std::io;

use crate::model::{Digest, MAX_MANIFEST_BYTES, ManifestKind, Role, media_type, parse_manifest};
use crate::storage::Content;

/// How much of a blob is read to know whether it is a manifest.
pub const READ_BYTES: u64 = MAX_MANIFEST_BYTES;

/// How sure it is that a blob is a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Something names it that may name blobs of any kind, or an index says that it is a layer.
    Unlikely,
    /// An index names it and does not say what it is.
    Likely,
    /// A link or media type says so.
    Certain,
}

/// What a blob names.
#[derive(Debug, Default)]
pub struct Named {
    /// Each with how sure it is that it is a manifest; `None` for what is none.
    pub references: Vec<(Digest, Option<Certainty>)>,
    /// It may name anything else.
    pub is_unknown: bool,
}

impl Named {
    /// Reads the content of the blob `digest`.
    pub fn by(digest: &Digest, content: io::Result<Content>, certainty: Certainty) -> Self {
        let is_certain = certainty == Certainty::Certain;
        let unknown = |is_unknown| Self { references: Vec::new(), is_unknown };
        let body = match content {
            Err(_) => return unknown(true),
            // No registry takes a manifest of that size.
            Ok(content) if !content.is_whole => return unknown(is_certain),
            Ok(content) => content.bytes,
        };
        let Ok(manifest) = parse_manifest(&body) else {
            // What an index names may be a blob of any kind (a build cache's layers are).
            let was_one =
                certainty == Certainty::Likely && body.trim_ascii_start().first() == Some(&b'{');
            return unknown(is_certain || was_one);
        };
        let is_index = manifest.kind == ManifestKind::Index;
        let says_something = is_certain || manifest.kind != ManifestKind::Unknown;
        // A flipped bit in a digest makes another digest.
        let is_damaged = matches!(digest, Digest::Sha256(_)) && Digest::of(&body) != *digest;
        Self {
            is_unknown: says_something && is_damaged
                || is_certain && !manifest.invalid_references.is_empty(),
            references: manifest
                .references
                .into_iter()
                .filter(|reference| reference.role != Role::Subject)
                .map(|reference| {
                    let media_type = reference.media_type.as_deref();
                    let certainty = match reference.role {
                        Role::Manifest if media_type.is_some_and(media_type::is_manifest) => {
                            Some(Certainty::Certain)
                        }
                        Role::Manifest => Some(Certainty::Likely),
                        Role::Blob => Some(Certainty::Unlikely),
                        // In an index, what says that it is a layer or config may be a manifest.
                        Role::Layer | Role::Config => is_index.then_some(Certainty::Unlikely),
                        Role::Subject => None,
                    };
                    (reference.digest, certainty)
                })
                .collect(),
        }
    }
}
