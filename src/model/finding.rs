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
    /// Every severity, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// The severity of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == name)
    }

    /// As the `problems` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Defines [`Code`] so that a code, its name, severity, meaning and remedy stand in one place.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $name:literal, $severity:ident, $hint:literal;)+) => {
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

            /// What to do about it, in one line.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ }
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
    DirectoryUnreadable = "directory-unreadable", Error,
        "scan as root or as the registry's user; if the rights are right, look for disk errors in the kernel's log";
    /// A file could not be read.
    FileUnreadable = "file-unreadable", Error,
        "give the file to the registry's user with mode 644, or restore it from a backup";
    /// A symbolic link inside the storage is not followed, so what it leads to is unknown.
    SymlinkNotFollowed = "symlink-not-followed", Error,
        "mount the other disk there in place of the link";
    /// A revision link is empty or holds no digest; its directory name counts as the reference.
    RevisionLinkUnreadable = "revision-link-unreadable", Error,
        "write the digest that the directory names into the link, or push the manifest again";
    /// A tag's current link is empty or holds no digest; every digest the tag remembers is kept.
    TagLinkUnreadable = "tag-link-unreadable", Error,
        "push the tag again; tag_history lists what it pointed at";
    /// A layer link is empty or holds no digest, so the registry cannot serve the blob in this repository.
    LayerLinkUnreadable = "layer-link-unreadable", Warning,
        "write the digest that the directory names into the link, or push one of the images again";
    /// A link holds white space around its digest; the digest counts, the registry may refuse it.
    LinkWhitespace = "link-whitespace", Warning,
        "write the digest again without a newline";
    /// A link holds another digest than its directory names; both are kept.
    LinkMismatch = "link-mismatch", Warning,
        "write the digest that the directory names into the link, if its blob is there";
    /// A revision or tag leads to a manifest that is not there; all that its repository links is kept.
    ManifestMissing = "manifest-missing", Error,
        "restore the file from a backup, or push the image again";
    /// A manifest's content is not what its digest says, so what it named is unknown; all that its repository links is kept.
    ManifestUnreadable = "manifest-unreadable", Error,
        "move the file aside and push the image again";
    /// A revision or tag leads to a blob that is no manifest, and its content is what its digest says; all that its repository links is kept.
    NotAManifest = "not-a-manifest", Error,
        "nothing is damaged: see what the revision or tag was meant for, and delete or push it again";
    /// A manifest is larger than 4 MiB, which the registry refuses to read; all that its repository links is kept.
    ManifestTooLarge = "manifest-too-large", Error,
        "see what the file is; delete the wrong revision or tag and push the image again";
    /// A manifest is of a type that the registry does not know; every digest in it counts as a reference, and all that its repository links is kept.
    ManifestTypeUnknown = "manifest-type-unknown", Warning,
        "nothing to mend; see whether the registry's own garbage collector knows the type";
    /// A manifest names something that is not a digest.
    ReferenceInvalid = "reference-invalid", Error,
        "push the image again with another client, and delete the faulty revision";
    /// A manifest names a config blob that is not there.
    ConfigMissing = "config-missing", Error,
        "push one image that has the config, or copy the file back from a backup";
    /// An image config cannot be parsed, so platform and build commands are unknown.
    ConfigUnreadable = "config-unreadable", Warning,
        "ask whoever builds the image; if the size is wrong, mend that";
    /// A manifest names a layer that is not there.
    LayerMissing = "layer-missing", Error,
        "push one image that has the layer, or copy the file back from a backup";
    /// A layer or config is on disk and not linked in the image's repository, so the registry does not serve it there.
    LayerLinkMissing = "layer-link-missing", Error,
        "push one of the images to this repository again, or write the link";
    /// An index names a manifest that is not in this storage, as when only some platforms were copied.
    IndexChildAbsent = "index-child-absent", Info,
        "nothing to do; copy the image with all its platforms if you want them";
    /// An index that a tag leads to names a manifest that is on disk and not linked in the repository, so the registry does not serve it there.
    ChildWithoutRevision = "child-without-revision", Error,
        "push the image again";
    /// A blob has another size than every manifest says that names it; the registry keeps such a blob even when it is pushed again.
    SizeMismatch = "size-mismatch", Error,
        "regsql prune --corrupt moves it to the trash (--min-age 0s if it is young); then push an image that has it";
    /// A manifest says another size of a blob than it has; the blob is right, as another manifest or its content shows.
    DeclaredSizeWrong = "declared-size-wrong", Error,
        "push the image again with another client; the blob is right and stays";
    /// A blob's content has another digest than its name.
    BlobContentMismatch = "blob-content-mismatch", Error,
        "regsql prune --corrupt moves it to the trash (--min-age 0s if it is young); then push an image that has it";
    /// A blob could not be read to its end while its content was checked.
    BlobUnreadable = "blob-unreadable", Error,
        "look for disk errors in the kernel's log, then restore the file or push one of its images again";
    /// A tag points at a manifest that is not linked as a revision, so it cannot be pulled; the manifest is kept.
    TagWithoutRevision = "tag-without-revision", Error,
        "push the image again, or write the revision's link";
    /// A tag directory has no current link; the registry lists the tag and cannot serve it.
    HalfTag = "half-tag", Warning,
        "push the tag again, or delete its directory";
    /// A tag's name is not one that the registry accepts.
    TagNameInvalid = "tag-name-invalid", Warning,
        "rename the directory to the tag that was meant, or delete it";
    /// A repository's name is not one that the registry accepts; its garbage collector stops at it.
    RepositoryNameInvalid = "repository-name-invalid", Warning,
        "move the directory out of the storage, or rename it to a valid name";
    /// A repository has revisions or tags and no `_layers`; the registry's garbage collector overlooks or loses its images.
    LayersDirectoryMissing = "layers-directory-missing", Warning,
        "make the directory and push the images again, before the registry's garbage collector runs";
    /// A repository has tags and no `_manifests/revisions`, so what is linked in it is unknown.
    RevisionsDirectoryMissing = "revisions-directory-missing", Error,
        "restore it from a backup or push the tags again, before the registry's garbage collector runs";
    /// There are blobs, and `repositories` is missing or holds no repository: whatever needs them is not seen.
    RepositoriesMissing = "repositories-missing", Error,
        "mount or restore it; a registry that holds blobs has repositories";
    /// Repositories have links, and `blobs` is missing or empty: which blobs exist is unknown.
    BlobsMissing = "blobs-missing", Error,
        "mount or restore it; a registry keeps its directories below blobs/sha256 when the last blob is deleted";
    /// A directory of a repository's name holds no repository, as a mount that failed leaves it; the registry leaves none so.
    NamespaceEmpty = "namespace-empty", Error,
        "mount what belongs there; if its repositories were deleted, remove the directory";
    /// Repositories or tags that the last scan saw are gone, and regsql did not delete them.
    Vanished = "vanished", Error,
        "see whether a mount failed or a copy is not finished; if it was deleted, regsql prune --accept-vanished";
    /// A repository has layer links or uploads and never got a manifest, as after a failed push.
    RepositoryNeverCompleted = "repository-never-completed", Info,
        "regsql prune --garbage removes it once it is old";
    /// A repository has neither a revision nor a tag left; the registry's catalogue still lists it.
    GhostRepository = "ghost-repository", Info,
        "regsql prune --garbage removes it once it is old";
    /// A layer link leads to a blob that is gone.
    DanglingLink = "dangling-link", Info,
        "regsql prune dangling-links removes those that no image needs";
    /// A referrer's subject is gone.
    OrphanReferrer = "orphan-referrer", Info,
        "regsql prune orphan-referrers removes it once it is old";
    /// A file or directory that no registry writes.
    ForeignFile = "foreign-file", Warning,
        "look at it, then move it out of the storage";
    /// What a NAS, a file manager or a sync program left; it counts as no repository, tag or blob.
    Clutter = "clutter", Info,
        "nothing to do; exclude the storage in the program that writes it";
    /// What an interrupted write left behind.
    TemporaryFile = "temporary-file", Info,
        "regsql prune --leftovers removes it once it is old";
    /// A directory that ought to hold a link or data holds nothing.
    EmptyDirectory = "empty-directory", Info,
        "nothing to do; regsql prune --leftovers removes old ones";
    /// An upload's `startedat` is missing or holds no time, so the registry never purges it.
    UploadStartUnreadable = "upload-start-unreadable", Info,
        "regsql prune --garbage removes it when nothing is written to it for a week";
    /// An upload in which nothing happened for a week, after which the registry's purge would take it.
    StaleUpload = "stale-upload", Info,
        "regsql prune stale-uploads removes it; see why the registry does not purge it";
    /// A file that the owner of the storage's `blobs` directory may not read, so the registry may not either.
    PermissionsWrong = "permissions-wrong", Warning,
        "give the file to the registry's user with mode 644";
    /// The storage is a pull-through cache: missing blobs are normal, and its own scheduler deletes blobs.
    PullThroughCache = "pull-through-cache", Warning,
        "do not delete beside its scheduler";
    /// Something outside of the storage seems to hold references to it, as the databases of GitLab, Harbor and OpenShift do, so nothing here is known to be garbage.
    AuthorityElsewhere = "authority-elsewhere", Error,
        "regsql report authority lists the evidence; scan with --roots and that product's export (docs/roots.md)";
}

impl Code {
    /// The code of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Whether it is found by reading a blob's content, which a scan does not.
    pub fn is_about_content(self) -> bool {
        matches!(self, Self::BlobContentMismatch | Self::BlobUnreadable)
    }

    /// Whether it means that part of the storage was not seen, so that the scan is incomplete. A
    /// damaged manifest or link was seen, and is kept for what it is.
    pub fn hides_something(self) -> bool {
        matches!(
            self,
            Self::DirectoryUnreadable
                | Self::FileUnreadable
                | Self::SymlinkNotFollowed
                | Self::RepositoriesMissing
                | Self::BlobsMissing
                | Self::NamespaceEmpty
        )
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

/// How much is kept because something cannot be read. What is kept keeps all that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldScope {
    /// Every blob: an unknown repository may need it.
    Storage,
    /// All that the repository links, and every blob that may be a manifest of it.
    Manifests,
    /// All that the repository links, tags and lists as revisions.
    Repository,
    /// One blob.
    Blob,
}

impl HoldScope {
    /// As the `unreadable_roots` view writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Manifests => "manifests",
            Self::Repository => "repository",
            Self::Blob => "blob",
        }
    }

    /// The scope of that name.
    pub fn parse(text: &[u8]) -> Option<Self> {
        [Self::Storage, Self::Manifests, Self::Repository, Self::Blob]
            .into_iter()
            .find(|scope| scope.as_str().as_bytes() == text)
    }
}
