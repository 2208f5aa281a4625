//! The kinds of things that can be deleted from a registry's storage, and the names of such things.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// A kind of thing, in the order in which a deletion takes them: what refers before what it refers
/// to, so that a deletion that is killed leaves garbage and nothing broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A tag of a repository.
    Tag,
    /// An entry of a tag's history whose manifest its repository no longer has.
    TagHistory,
    /// A manifest linked in a repository.
    Revision,
    /// A blob linked in a repository.
    LayerLink,
    /// An upload that was begun and not finished.
    Upload,
    /// A blob that nothing needs.
    Blob,
    /// A blob whose content is not what its digest says; images may need it all the same.
    CorruptBlob,
    /// What an interrupted write left: a temporary file or an empty directory.
    Leftover,
    /// A repository with nothing left in it.
    Repository,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Tag,
        Self::TagHistory,
        Self::Revision,
        Self::LayerLink,
        Self::Upload,
        Self::Blob,
        Self::CorruptBlob,
        Self::Leftover,
        Self::Repository,
    ];

    /// In words: one, and several.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Tag => ("tag", "tags"),
            Self::TagHistory => ("tag history entry", "tag history entries"),
            Self::Revision => ("revision", "revisions"),
            Self::LayerLink => ("layer link", "layer links"),
            Self::Upload => ("upload", "uploads"),
            Self::Blob => ("blob", "blobs"),
            Self::CorruptBlob => ("corrupt blob", "corrupt blobs"),
            Self::Leftover => ("leftover", "leftovers"),
            Self::Repository => ("repository", "repositories"),
        }
    }

    /// Several, as a column or a JSON key: `layer_links`.
    pub fn key(self) -> String {
        self.words().1.replace(' ', "_")
    }
}

/// One value for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByKind<T>([T; Kind::ALL.len()]);

impl<T> ByKind<T> {
    /// The value that `value` gives for each kind.
    pub fn from_fn(value: impl FnMut(Kind) -> T) -> Self {
        Self(Kind::ALL.map(value))
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &T)> {
        Kind::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Kind> for ByKind<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> IndexMut<Kind> for ByKind<T> {
    fn index_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[kind as usize]
    }
}

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
    /// An entry of a tag's history.
    TagHistory {
        /// Its repository.
        repository: String,
        /// The tag.
        history_tag: String,
        /// What it pointed at.
        history_digest: String,
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
    /// What kind of thing it names, if it names one.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Tag { .. } => Some(Kind::Tag),
            Self::TagHistory { .. } => Some(Kind::TagHistory),
            Self::Revision { .. } => Some(Kind::Revision),
            Self::LayerLink { .. } => Some(Kind::LayerLink),
            Self::Upload { .. } => Some(Kind::Upload),
            Self::Blob { .. } => Some(Kind::Blob),
            Self::CorruptBlob { .. } => Some(Kind::CorruptBlob),
            Self::Leftover { .. } => Some(Kind::Leftover),
            Self::Repository { .. } => Some(Kind::Repository),
            Self::Layer { .. } | Self::Row { .. } => None,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Tag { repository, tag, .. } => format!("{repository}:{tag}"),
            Self::Revision { repository, manifest_digest } => {
                format!("{repository}@{manifest_digest}")
            }
            Self::TagHistory { repository, history_tag, history_digest } => {
                format!("{history_digest} in the history of {repository}:{history_tag}")
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
