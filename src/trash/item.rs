//! One thing that a run takes away.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{bytes_of, text_of};
use crate::storage::Access;

/// What a move takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// A tag's directory.
    Tag,
    /// An entry of a tag's history: its directory.
    TagHistory,
    /// A revision's directory or link.
    Revision,
    /// A layer link, or its directory.
    LayerLink,
    /// An upload's directory.
    Upload,
    /// A blob's directory.
    Blob,
    /// A file that an interrupted write left.
    Leftover,
    /// An empty directory. It is removed, not moved; undo makes it again.
    Directory,
}

/// One thing to be moved to the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The directory or file, relative to the storage's root.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// What it is.
    pub kind: MoveKind,
    /// The repository it is of, as the database names it.
    pub repository: Option<String>,
    /// The tag, digest or upload's id.
    pub name: String,
    /// Bytes that come free when it is removed for good.
    pub size_bytes: u64,
    /// Whose a [`MoveKind::Directory`] is when the run begins; others keep theirs when they move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// A [`MoveKind::Blob`] whose content is wrong: putting it back mends no image. Lists from before it was
    /// written down say nothing of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_corrupt: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names of the kinds")]
pub struct Counts {
    pub tags: u64,
    pub revisions: u64,
    pub layer_links: u64,
    pub uploads: u64,
    pub blobs: u64,
    pub directories: u64,
    #[serde(default)]
    pub leftovers: u64,
    #[serde(default)]
    pub tag_history_entries: u64,
}

impl Counts {
    /// One more of that kind.
    pub fn add(&mut self, kind: MoveKind) {
        let count = match kind {
            MoveKind::Tag => &mut self.tags,
            MoveKind::TagHistory => &mut self.tag_history_entries,
            MoveKind::Revision => &mut self.revisions,
            MoveKind::LayerLink => &mut self.layer_links,
            MoveKind::Upload => &mut self.uploads,
            MoveKind::Blob => &mut self.blobs,
            MoveKind::Leftover => &mut self.leftovers,
            MoveKind::Directory => &mut self.directories,
        };
        *count = count.saturating_add(1);
    }

    /// Those and `others`.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        Self {
            tags: self.tags.saturating_add(others.tags),
            revisions: self.revisions.saturating_add(others.revisions),
            layer_links: self.layer_links.saturating_add(others.layer_links),
            uploads: self.uploads.saturating_add(others.uploads),
            blobs: self.blobs.saturating_add(others.blobs),
            directories: self.directories.saturating_add(others.directories),
            leftovers: self.leftovers.saturating_add(others.leftovers),
            tag_history_entries: self
                .tag_history_entries
                .saturating_add(others.tag_history_entries),
        }
    }

    /// How many of all kinds.
    pub fn total(&self) -> u64 {
        [
            self.tags,
            self.revisions,
            self.layer_links,
            self.uploads,
            self.blobs,
            self.directories,
            self.leftovers,
            self.tag_history_entries,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A path as text that any bytes survive.
mod path_text {
    use super::{Path, PathBuf, bytes_of, text_of};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text_of(path.as_os_str()))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes_of(&text).map(PathBuf::from).ok_or_else(|| D::Error::custom("not a path as text"))
    }
}
