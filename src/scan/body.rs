//! What manifests say, as the rest of the scan and the next one need it.

use serde::{Deserialize, Serialize};

use crate::model::{Code, ManifestKind, Role};

use super::intern::{TextNumber, TextNumbers};

/// A blob that is, or by a link ought to be, a manifest.
#[derive(Debug)]
pub struct ManifestFacts {
    /// The blob's number.
    pub blob: u32,
    /// What it says, as far as that could be understood.
    pub body: Option<ManifestBody>,
    /// Why it may name more than what is known of it.
    pub fault: Option<(Code, String)>,
    /// No revision, tag or index leads to it.
    pub is_orphan: bool,
}

/// What a manifest says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManifestBody {
    /// What it is.
    pub kind: ManifestKind,
    /// Its media type's number.
    pub media_type: Option<TextNumber>,
    /// Its artifact type's number.
    pub artifact_type: Option<TextNumber>,
    /// What it names.
    pub references: Vec<ReferenceFacts>,
    /// From the image config.
    pub os: Option<TextNumber>,
    /// From the image config.
    pub architecture: Option<TextNumber>,
    /// From the image config.
    pub variant: Option<TextNumber>,
    /// From the image config.
    pub created_ns: Option<i64>,
    /// Its media type is not known to the registry.
    pub is_type_unknown: bool,
    /// Why there is nothing from the image config.
    pub config_fault: Option<String>,
}

/// The size that a manifest says of something, if it says one. There are millions of them, so that there is none
/// takes no room: it is [`u64::MAX`], which no file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredBytes(u64);

impl DeclaredBytes {
    /// Nothing is said.
    pub const NONE: Self = Self(u64::MAX);

    /// What is said.
    pub fn new(bytes: Option<u64>) -> Self {
        bytes.map_or(Self::NONE, |bytes| Self(bytes.min(u64::MAX - 1)))
    }

    /// In bytes.
    pub fn get(self) -> Option<u64> {
        (self != Self::NONE).then_some(self.0)
    }
}

/// One thing that a manifest names. Texts are numbers in `Texts`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReferenceFacts {
    /// What part it plays.
    pub role: Role,
    /// What is named.
    pub blob: u32,
    /// The size that the manifest says.
    pub declared_bytes: DeclaredBytes,
    /// The media type that the manifest says.
    pub media_type: Option<TextNumber>,
    /// The platform that an index says.
    pub platform: Option<TextNumber>,
    /// The command that made the layer.
    pub build_step: Option<TextNumber>,
    /// The registry need not hold it.
    pub is_external: bool,
}

/// Texts that many manifests repeat.
#[derive(Debug, Default)]
pub struct Texts {
    /// Media types of manifests and of what they name.
    pub media_types: TextNumbers,
    /// Platforms, operating systems, architectures.
    pub platforms: TextNumbers,
    /// Build commands.
    pub build_steps: TextNumbers,
}
