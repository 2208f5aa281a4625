//! Names of things that a plan deletes or leaves.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// One thing on disk, by its names. These are the rows of `items` and `skipped` in a plan's JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Name {
    /// A tag, and the manifest that it points at.
    Tag {
        /// Its repository.
        repository: String,
        /// Its name.
        tag: String,
        /// What it points at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest_digest: Option<String>,
    },
    /// A revision.
    Revision {
        /// Its repository.
        repository: String,
        /// Its manifest.
        manifest_digest: String,
    },
    /// A layer link.
    LayerLink {
        /// Its repository.
        repository: String,
        /// The digest that its directory names.
        link_digest: String,
    },
    /// An upload.
    Upload {
        /// Its repository.
        repository: String,
        /// Its directory's name.
        upload_id: String,
        /// Bytes received.
        #[serde(default)]
        size_bytes: u64,
    },
    /// A blob.
    Blob {
        /// Its digest.
        blob_digest: String,
        /// Its bytes on disk.
        #[serde(default)]
        size_bytes: u64,
    },
    /// A blob whose content is not what its digest says; images may need it all the same.
    CorruptBlob {
        /// Its digest.
        blob_digest: String,
        /// Its bytes on disk.
        #[serde(default)]
        size_bytes: u64,
    },
    /// What an interrupted write left: a temporary file or an empty directory.
    Leftover {
        /// Where, below the registry's root.
        path: String,
    },
    /// A repository with nothing left in it.
    Repository {
        /// Its name.
        repository: String,
    },
    /// Every image that holds a layer; only ever skipped.
    Layer {
        /// The layer.
        layer_digest: String,
    },
    /// A row that names nothing; only ever skipped.
    Row {
        /// Its number from 1, and whose row it is.
        row: String,
    },
}

impl Name {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Tag { repository, tag, .. } => format!("{repository}:{tag}"),
            Self::Revision { repository, manifest_digest } => {
                format!("{repository}@{manifest_digest}")
            }
            Self::LayerLink { repository, link_digest } => {
                format!("layer link {link_digest} in {repository}")
            }
            Self::Upload { repository, upload_id, .. } => {
                format!("upload {upload_id} in {repository}")
            }
            Self::Blob { blob_digest, .. } => format!("blob {blob_digest}"),
            Self::CorruptBlob { blob_digest, .. } => format!("corrupt blob {blob_digest}"),
            Self::Leftover { path } => path.clone(),
            Self::Repository { repository } => format!("repository {repository}"),
            Self::Layer { layer_digest } => format!("layer {layer_digest}"),
            Self::Row { row } => row.clone(),
        }
    }

    /// Bytes of its data on disk: 0 for what only leads to data.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Upload { size_bytes, .. }
            | Self::Blob { size_bytes, .. }
            | Self::CorruptBlob { size_bytes, .. } => *size_bytes,
            _ => 0,
        }
    }
}

/// A set of names that takes 16 bytes for each: a plan may hold hundreds of thousands.
#[derive(Clone, Debug, Default)]
pub struct NameSet(HashSet<[u8; 16]>);

impl NameSet {
    /// Whether the set holds the name.
    pub fn has(&self, name: &Name) -> bool {
        self.0.contains(&fingerprint(name))
    }
}

impl FromIterator<Name> for NameSet {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().map(|name| fingerprint(&name)).collect())
    }
}

/// The first half of the SHA-256 of all its parts.
fn fingerprint(name: &Name) -> [u8; 16] {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let size;
    let parts: [&str; 4] = match name {
        Name::Tag { repository, tag, manifest_digest } => {
            ["tag", repository, tag, manifest_digest.as_deref().unwrap_or_default()]
        }
        Name::Revision { repository, manifest_digest } => {
            ["revision", repository, manifest_digest, ""]
        }
        Name::LayerLink { repository, link_digest } => ["layer_link", repository, link_digest, ""],
        Name::Upload { repository, upload_id, size_bytes } => {
            size = size_bytes.to_string();
            ["upload", repository, upload_id, &size]
        }
        Name::Blob { blob_digest, size_bytes } => {
            size = size_bytes.to_string();
            ["blob", blob_digest, &size, ""]
        }
        Name::CorruptBlob { blob_digest, size_bytes } => {
            size = size_bytes.to_string();
            ["corrupt_blob", blob_digest, &size, ""]
        }
        Name::Leftover { path } => ["leftover", path, "", ""],
        Name::Repository { repository } => ["repository", repository, "", ""],
        Name::Layer { layer_digest } => ["layer", layer_digest, "", ""],
        Name::Row { row } => ["row", row, "", ""],
    };
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

/// Why something stays, as far as a summary tells reasons apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipGroup {
    /// It is not there, or no longer what the row says.
    NotThere,
    /// A protect list or pattern names it.
    Protected,
    /// It is younger than `--min-age`.
    Young,
    /// It is garbage, and too young to go: a later run takes it. Nobody asked for just this.
    NotYet,
    /// It is garbage that the running registry may still use; a run with it stopped takes it.
    Spared,
    /// It came to be deletable after the plan was shown; a later run takes it.
    Unseen,
    /// Its repository never had a tag, so something else than a tag may know it. A guard keeps it.
    NeverTagged,
    /// Something else needs it.
    Needed,
    /// Something that cannot be read may need it.
    Held,
    /// An option that was given rules it out.
    NotAllowed,
    /// It changed between the plan and the act.
    Changed,
    /// The file system refused.
    Failed,
}

impl SkipGroup {
    /// Whether a command that leaves such a thing where it is ends with exit code 1. What a guard or
    /// a policy keeps is what the person wanted, and so is what a later run takes.
    pub fn is_finding(self) -> bool {
        !matches!(
            self,
            Self::Protected
                | Self::Young
                | Self::NotYet
                | Self::Spared
                | Self::Unseen
                | Self::NeverTagged
        )
    }

    /// In words, after a count.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotThere => "not there, or not what the row says",
            Self::Protected => "protected",
            Self::Young => "younger than --min-age",
            Self::NotYet => "too young to go yet (--min-age)",
            Self::Spared => "garbage that the running registry may still remember",
            Self::Unseen => "not in the plan that was shown",
            Self::NeverTagged => "in repositories that never had a tag",
            Self::Needed => "still needed",
            Self::Held => "may be needed by what cannot be read",
            Self::NotAllowed => "ruled out by an option that was given",
            Self::Changed => "changed since the plan",
            Self::Failed => "could not be removed",
        }
    }
}

/// Something that was chosen, or would have gone with it, and stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// What kind of reason.
    #[serde(skip)]
    pub group: SkipGroup,
    /// What stays.
    #[serde(flatten)]
    pub name: Name,
    /// Why, in words.
    pub reason: String,
}

impl Skipped {
    /// Something that stays for a reason.
    pub fn new(group: SkipGroup, name: Name, reason: impl Into<String>) -> Self {
        Self { group, name, reason: reason.into() }
    }
}
