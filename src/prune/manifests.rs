//! What a blob that may be a manifest names, by the rule that the scan goes by as well
//! ([`crate::model::classify`]).

use std::io;

use crate::model::{Certainty, Digest, MAX_MANIFEST_BYTES, Unread, classify};
use crate::storage::Content;

/// How much of a blob is read to know whether it is a manifest.
pub const READ_BYTES: u64 = MAX_MANIFEST_BYTES;

/// What a blob names.
#[derive(Debug, Default)]
pub struct Named {
    /// Each with how sure it is that it is a manifest; `None` for what is none.
    pub references: Vec<(Digest, Option<Certainty>)>,
    /// It may name anything else that its repository links.
    pub is_unknown: bool,
}

impl Named {
    /// Reads the content of the blob `digest`.
    pub fn by(digest: &Digest, content: &io::Result<Content>, expected: Certainty) -> Self {
        let content = match content {
            Ok(content) if content.is_whole => Ok(content.bytes.as_slice()),
            Ok(_) => Err(Unread::TooLarge),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unread::Missing),
            Err(error) => Err(Unread::Failed(error.to_string())),
        };
        let classified = classify(digest, content, expected);
        let kept = classified.kept().map(|(digest, certainty)| (digest.clone(), certainty));
        Self { references: kept.collect(), is_unknown: classified.is_uncertain() }
    }
}
