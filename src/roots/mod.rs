//! References that somebody outside of a storage holds: exports of a database, of a cluster, or lists
//! by hand. Nothing here knows a product; what a row means stands in docs/roots.md.
//!
//! Whatever cannot be understood is an error with its file and line: a part of a list would keep a part
//! of what is in use. Rows are handed over one by one and are not held: there may be millions.

mod batch;
mod bounded;
mod error;
mod input;
mod json;
mod table;
mod words;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use error::RootsError;
pub use input::{Input, form_of_text, sha256_of};
pub use words::{Reference, each_word, is_host, readings, reference};

use std::path::PathBuf;

use crate::model::Digest;

/// What a root says about the thing that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// A manifest, or any blob that may be one: kept with all that it names.
    Manifest,
    /// A blob that is known: kept itself.
    Blob,
    /// A manifest whose body is elsewhere: not expected on disk.
    ManifestElsewhere,
}

impl RootKind {
    /// As the `roots` view and the column `kind` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::ManifestElsewhere => "manifest-elsewhere",
        }
    }
}

/// Who of OpenShift's objects names something; what an image is kept for is said by the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Neither.
    Other,
    /// An `Image`: a manifest that exists, whatever repository serves it.
    Image,
    /// An `ImageStream`: what a repository serves.
    ImageStream,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Image references, one or more a line.
    Words,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// A Kubernetes or OpenShift object or list.
    Json,
}

impl Form {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
        }
    }
}

/// A file that was read to its end.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of another kind of row whether there is one"
)]
pub struct Source {
    /// Its absolute path, or `-`.
    pub path: PathBuf,
    /// Its form.
    pub form: Form,
    /// Rows that it gave.
    pub row_count: u64,
    /// Its mtime in nanoseconds since 1970; for standard input when it was read.
    pub exported_ns: i64,
    /// SHA-256 over its content.
    pub sha256: [u8; 32],
    /// A row is of another kind than `manifest`.
    pub has_blobs: bool,
    /// A row is of the kind `manifest-elsewhere`.
    pub has_manifests_elsewhere: bool,
    /// A row says when something was pulled.
    pub has_pulls: bool,
    /// It has image streams of OpenShift.
    pub has_streams: bool,
}

/// One reference, as a reader hands it over.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Its line from 1; the item's number in JSON.
    pub line: u64,
    /// What it names.
    pub kind: RootKind,
    /// Which object names it.
    pub origin: Origin,
    /// The repository; wherever it lies when `None`.
    pub repository: Option<&'a str>,
    /// The tag.
    pub tag: Option<&'a str>,
    /// The digest.
    pub digest: Option<Digest>,
    /// Bytes, as the export says.
    pub size_bytes: Option<i64>,
    /// When it was pushed, as the export says, in nanoseconds since 1970.
    pub pushed_ns: Option<i64>,
    /// When it was last pulled, as the export says, in nanoseconds since 1970.
    pub pulled_ns: Option<i64>,
}

impl Row<'_> {
    fn new(line: u64, digest: Option<Digest>) -> Self {
        Self {
            line,
            kind: RootKind::Manifest,
            origin: Origin::Other,
            repository: None,
            tag: None,
            digest,
            size_bytes: None,
            pushed_ns: None,
            pulled_ns: None,
        }
    }
}
