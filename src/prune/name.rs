//! What a plan leaves where it is, and why; and sets of names.

use std::collections::HashSet;

use serde::Serialize;

use crate::model::Name;

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
        Name::TagHistory { repository, history_tag, history_digest } => {
            ["tag_history", repository, history_tag, history_digest]
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

/// Why something stays, as far as a summary distinguishes reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipGroup {
    /// It is not there, or no longer what the row says.
    NotThere,
    /// A protect list or pattern names it.
    Protected,
    /// It is younger than `--min-age`.
    Young,
    /// It is garbage, and too young to go: a later run takes it. It was not asked for by itself.
    NotYet,
    /// It is garbage that the running registry may still use; a run with it stopped takes it.
    Spared,
    /// It came to be deletable after the plan was shown; a later run takes it.
    Unseen,
    /// Its repository never had a tag, so something else than a tag may know it. A guard keeps it.
    NeverTagged,
    /// It is in a repository of which the roots name nothing: they may be a part of an export.
    Unnamed,
    /// An undo of a run in the trash needs it, and this deletion could not be undone itself.
    ForUndo,
    /// An earlier run has marked it in a bucket, and it waits for a purge.
    Marked,
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
                | Self::Unnamed
                | Self::ForUndo
                | Self::Marked
        )
    }

    /// In words, after a count.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotThere => "not there, or not what the row says",
            Self::Protected => "protected",
            Self::Young => "younger than --min-age",
            Self::NotYet => "too young to go yet (--min-age)",
            Self::Spared => "that the running registry may still remember",
            Self::Unseen => "not in the plan that was shown",
            Self::NeverTagged => "in repositories that never had a tag",
            Self::Unnamed => "in repositories of which the roots name nothing",
            Self::ForUndo => "needed to undo what is in the trash",
            Self::Marked => "marked before, waiting for regsql trash purge",
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
