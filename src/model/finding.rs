//! What can be wrong with a storage: stable codes, and one finding.
//!
//! A code's doc comment is its meaning; `docs/findings.md` says the rest, and a test keeps codes,
//! fixtures and headings equal.

use crate::model::Digest;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Harmless; space may be won.
    Info,
    /// Worth a look; every tag can still be pulled.
    Warning,
    /// An image is broken, or something could not be read and so nothing near it may be deleted.
    Error,
}

impl Severity {
    /// As the `problems` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Defines [`Code`] so that a code, its name, severity and meaning stand in one place.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $name:literal, $severity:ident;)+) => {
        /// What kind of fault a finding is. Names are public and never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The kebab-case name in the `problems` view.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How much it matters.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// A directory could not be listed, so what lies in it is unknown.
    DirectoryUnreadable = "directory-unreadable", Error;
    /// A file could not be read.
    FileUnreadable = "file-unreadable", Error;
    /// A symbolic link inside the storage is not followed, so what it leads to is unknown.
    SymlinkNotFollowed = "symlink-not-followed", Error;
    /// A revision link is empty or holds no digest; its directory name counts as the reference.
    RevisionLinkUnreadable = "revision-link-unreadable", Error;
    /// A tag's current link is empty or holds no digest; every digest the tag remembers is kept.
    TagLinkUnreadable = "tag-link-unreadable", Error;
    /// A layer link is empty or holds no digest, so the registry cannot serve the blob in this repository.
    LayerLinkUnreadable = "layer-link-unreadable", Warning;
    /// A link holds white space around its digest; the digest counts, the registry may refuse it.
    LinkWhitespace = "link-whitespace", Warning;
    /// A link holds another digest than its directory names; both are kept.
    LinkMismatch = "link-mismatch", Warning;
    /// A revision or tag leads to a manifest that is not there; all that its repository links is kept.
    ManifestMissing = "manifest-missing", Error;
    /// A manifest cannot be parsed; all that its repository links is kept.
    ManifestUnreadable = "manifest-unreadable", Error;
    /// A manifest is larger than 4 MiB, which the registry refuses to read; all that its repository links is kept.
    ManifestTooLarge = "manifest-too-large", Error;
    /// A manifest is of a type that regsql does not know; every digest in it counts as a reference.
    ManifestTypeUnknown = "manifest-type-unknown", Warning;
    /// A manifest names something that is not a digest.
    ReferenceInvalid = "reference-invalid", Error;
    /// A manifest names a config blob that is not there.
    ConfigMissing = "config-missing", Error;
    /// An image config cannot be parsed, so platform and build commands are unknown.
    ConfigUnreadable = "config-unreadable", Warning;
    /// A manifest names a layer that is not there.
    LayerMissing = "layer-missing", Error;
    /// A layer or config is on disk and not linked in the image's repository, so the registry does not serve it there.
    LayerLinkMissing = "layer-link-missing", Error;
    /// An index names a manifest that is not in this storage, as when only some platforms were copied.
    IndexChildAbsent = "index-child-absent", Info;
    /// A blob has another size than a manifest says; the registry keeps such a blob even when it is pushed again.
    SizeMismatch = "size-mismatch", Error;
    /// A tag points at a manifest that is not linked as a revision, so it cannot be pulled; the manifest is kept.
    TagWithoutRevision = "tag-without-revision", Error;
    /// A tag directory has no current link; the registry lists the tag and cannot serve it.
    HalfTag = "half-tag", Warning;
    /// A tag's name is not one that the registry accepts.
    TagNameInvalid = "tag-name-invalid", Warning;
    /// A repository's name is not one that the registry accepts; its garbage collector stops at it.
    RepositoryNameInvalid = "repository-name-invalid", Warning;
    /// A repository has revisions or tags and no `_layers`; the registry's garbage collector overlooks or loses its images.
    LayersDirectoryMissing = "layers-directory-missing", Warning;
    /// A repository has tags and no `_manifests/revisions`, so what is linked in it is unknown.
    RevisionsDirectoryMissing = "revisions-directory-missing", Error;
    /// A repository has layer links or uploads and never got a manifest, as after a failed push.
    RepositoryNeverCompleted = "repository-never-completed", Info;
    /// A repository has neither a revision nor a tag left; the registry's catalogue still lists it.
    GhostRepository = "ghost-repository", Info;
    /// A layer link leads to a blob that is gone.
    DanglingLink = "dangling-link", Info;
    /// A referrer's subject is gone.
    OrphanReferrer = "orphan-referrer", Info;
    /// A file or directory that no registry writes.
    ForeignFile = "foreign-file", Warning;
    /// What an interrupted write left behind.
    TemporaryFile = "temporary-file", Info;
    /// A directory that ought to hold a link or data holds nothing.
    EmptyDirectory = "empty-directory", Info;
    /// An upload's `startedat` is missing or holds no time, so the registry never purges it.
    UploadStartUnreadable = "upload-start-unreadable", Info;
    /// The storage is a pull-through cache: missing blobs are normal, and its own scheduler deletes blobs.
    PullThroughCache = "pull-through-cache", Warning;
}

impl Code {
    /// Whether it means that part of the storage was not seen, so that the scan is incomplete. A
    /// damaged manifest or link was seen, and is kept for what it is.
    pub fn hides_something(self) -> bool {
        matches!(self, Self::DirectoryUnreadable | Self::FileUnreadable | Self::SymlinkNotFollowed)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One fault at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What kind of fault.
    pub code: Code,
    /// The repository, if it is in one.
    pub repository: Option<String>,
    /// The digest it is about, if it is about one.
    pub digest: Option<Digest>,
    /// Where, below the registry's root directory.
    pub path: String,
    /// What was found, in words.
    pub detail: String,
}
