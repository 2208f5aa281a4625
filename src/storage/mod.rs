//! The one seam to the bytes on disk.
//!
//! Everything above asks a [`Storage`]; nothing else opens a file of a registry. The calls are
//! shaped after what the scan needs and what any backend can give cheaply: a file system answers
//! [`Storage::list_leaves`] with one `stat` an entry and without opening the entry's directory, an
//! object store with one listing of the prefix.
//!
//! Whatever changes a storage needs a [`StorageWriter`]; who has a [`Storage`] can only read.
//!
//! Guarantees: [`Storage`] never writes; no symbolic link below the storage's top is followed; no call
//! reads more than the limit it is given, and none blocks on a FIFO or device.

mod entry;
#[doc(hidden)]
pub mod faulty;
mod filesystem;
mod filesystem_write;
mod locate;
#[cfg(feature = "object-storage")]
pub mod object;
mod open;
pub mod paths;
mod process;
mod stream;
mod usage;
mod walk;
mod write;

use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::model::authority::Configured;
use crate::model::progress::Progress;

pub use filesystem::{FilesystemStorage, is_in_the_way};
pub use locate::{LocateError, Location, Place, locate};
#[cfg(feature = "object-storage")]
pub use locate::{ObjectPlace, Provider};
#[cfg(feature = "object-storage")]
pub use open::bucket_error;
pub use open::{AnyStorage, hint_of, open};
pub use process::ProcessId;
pub use stream::sha256;
pub use usage::Usage;
pub use walk::{MAX_DEPTH, walk_up};
pub use write::{Access, Fill, HeldLock, MAX_COPY_BYTES, MountId, StorageWriter};

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which is never followed.
    Symlink,
    /// A socket, FIFO or device.
    Special,
}

/// What the file system says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes of its blocks on the disk; its size where nothing is known of blocks.
    pub allocated_bytes: u64,
    /// Names that it has on its file system.
    pub link_count: u64,
    /// mtime in nanoseconds since 1970.
    pub modified_ns: i64,
    /// ctime in nanoseconds since 1970.
    pub changed_ns: i64,
    /// Its number on the file system: tells files apart whose sizes and times are the same. 0 where there
    /// is none.
    pub inode: u64,
    /// Number of the user that owns it.
    pub owner: u32,
    /// Permission bits, as in `chmod`.
    pub permissions: u32,
}

/// What of a file takes space on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Names that it has: with more than one, removing one of them frees nothing.
    pub link_count: u64,
    /// Bytes of its blocks: fewer than its size when it is sparse or compressed.
    pub size_bytes: u64,
}

/// How large a file system is, and how full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub size_bytes: u64,
    /// What is in use, in bytes. The rest is free, a part of it perhaps for root alone.
    pub used_bytes: u64,
    /// What is free for whoever is not root, in bytes.
    pub free_bytes: u64,
}

/// What of a directory changes whenever a name is added to it or taken from it. Nothing below the
/// names shows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DirectoryStamp {
    /// Its number on the file system.
    pub inode: u64,
    /// Its mtime in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Its ctime in nanoseconds since 1970.
    pub changed_ns: i64,
}

impl DirectoryStamp {
    /// The newer of its times.
    pub fn newest_ns(&self) -> i64 {
        self.modified_ns.max(self.changed_ns)
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, as bytes on disk.
    pub name: OsString,
    /// What it stands for.
    pub kind: FileKind,
}

/// An entry of a directory, with what lies at `entry/leaf`.
#[derive(Debug)]
pub struct Leaf {
    /// The entry's name.
    pub name: OsString,
    /// What was found at `entry/leaf`.
    pub state: LeafState,
    /// Other names in the entry's directory; empty unless they were asked for.
    pub others: Vec<Entry>,
    /// The stamp of the directory that [`LeafOptions::beside`] names, if there is one.
    pub beside: Option<DirectoryStamp>,
}

/// What lies at `entry/leaf`.
#[derive(Debug)]
pub enum LeafState {
    /// A regular file, with its content if that was asked for.
    File {
        /// What the file system says of it.
        facts: FileFacts,
        /// Its first bytes, up to the limit.
        content: Option<Result<Vec<u8>, io::Error>>,
    },
    /// Something that is not a regular file.
    NotAFile(FileFacts),
    /// The entry is a directory without that leaf.
    Missing,
    /// The entry is itself no directory.
    NotADirectory(FileKind),
    /// It could not be looked at.
    Unreadable(io::Error),
}

/// What is wanted of each leaf beyond its facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafOptions {
    /// Read the file's first bytes, at most this number.
    pub content_limit: Option<usize>,
    /// A file of just this size need not be read.
    pub trusted_size: Option<u64>,
    /// List the entry's directory for names other than the leaf.
    pub list_others: bool,
    /// Take the stamp of this directory below the entry, too.
    pub beside: Option<&'static str>,
    /// Only sizes and times are compared with those that an earlier look saw, so that a symbolic link
    /// between the entry and the leaf does no harm: it leads to the same file or to other times.
    pub only_compares: bool,
}

/// A file's first bytes.
#[derive(Debug)]
pub struct Content {
    /// At most as many bytes as asked for.
    pub bytes: Vec<u8>,
    /// Whether that is the whole file.
    pub is_whole: bool,
}

/// A regular file that was read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// What the file system said of it before the first byte.
    pub facts: FileFacts,
    /// How many bytes were given: fewer than its size when it was cut meanwhile, or the reader had
    /// enough.
    pub bytes: u64,
}

/// A name that no path can hold, as a bucket may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayName {
    /// The name, from the registry's root on.
    pub name: String,
    /// Why it is none.
    pub reason: &'static str,
}

/// What a bucket's provider says beside names, sizes and times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketFacts {
    /// What it still keeps of what was overwritten or deleted; `None`: that may not be seen.
    pub noncurrent: Option<Noncurrent>,
    /// Multipart uploads of S3 that were neither completed nor aborted; `None` elsewhere.
    pub multipart_uploads: Option<Contents>,
    /// The inventory that was read instead of a listing.
    pub inventory: Option<InventoryFacts>,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

/// What a bucket keeps of what was overwritten or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noncurrent {
    /// Contents that no plain read gets: older versions, and what is deleted softly.
    pub versions: Contents,
    /// Markers of S3 that stand for deletions.
    pub delete_marker_count: u64,
}

/// An inventory that was read instead of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryFacts {
    /// Where its manifest lies, for people.
    pub address: String,
    /// When the provider made it, in nanoseconds since 1970: names, sizes and times are of then.
    pub made_ns: i64,
}

/// Where bytes of a registry lie. Paths are relative to the registry's root directory.
pub trait Storage: Sync {
    /// Reads what later answers come from, where they come from a listing. Whoever does not call it gets answers
    /// as well: the first question then waits for it.
    ///
    /// # Errors
    /// When it cannot be listed, or there is no registry.
    fn prepare(&self, _progress: &dyn Progress) -> io::Result<()> {
        Ok(())
    }

    /// Names that no path can hold, the first of them, and how many there are. No registry reads them.
    fn strays(&self) -> (Vec<StrayName>, u64) {
        (Vec::new(), 0)
    }

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// When it is missing, is no directory, or cannot be read. A name may vanish before it is
    /// looked at: that is no error, it is left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// As [`Self::list`], by a look at the directory itself, where that answers from a listing that was
    /// made before.
    ///
    /// # Errors
    /// As of [`Self::list`].
    fn list_anew(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.list(directory)
    }

    /// Where a symbolic link leads, as it stands there; nothing is followed.
    ///
    /// # Errors
    /// Of reading it. By default a storage has no links.
    fn link_target(&self, _path: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// For each name in `directory`, what lies at `name/leaf`. `leaf` may have several components.
    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>>;

    /// The stamp of a directory: equal stamps mean equal names in it. `None` where the times of the
    /// file system do not prove that, as on FUSE.
    fn stamp(&self, _directory: &Path) -> io::Result<Option<DirectoryStamp>> {
        Ok(None)
    }

    /// What lies at `path`.
    fn stat(&self, path: &Path) -> io::Result<FileFacts>;

    /// The first `limit` bytes of a regular file.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Content>;

    /// As [`Self::read`], by a look at the file itself, where that answers from a listing that was made
    /// before.
    ///
    /// # Errors
    /// As of [`Self::read`].
    fn read_anew(&self, path: &Path, limit: u64) -> io::Result<Content> {
        self.read(path, limit)
    }

    /// Gives a regular file to `take`, a piece of at most `buffer` at a time, up to the size that it
    /// had at the start or until `take` says to stop. What the registry has in the page cache stays
    /// there, as far as the kernel allows.
    fn stream(
        &self,
        path: &Path,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed>;

    /// The sha256 of a file's content, where whoever keeps it proves that without its being read; `None` otherwise.
    /// `trusts_any`: also a server that is not the provider's own, and may give what a client once said.
    fn proven_sha256(&self, _path: &Path, _trusts_any: bool) -> Option<[u8; 32]> {
        None
    }

    /// Looks anew, where answers come from a listing that was made before.
    ///
    /// # Errors
    /// When it cannot be listed; answers then stay what they were, and nothing may be deleted by them.
    fn refresh(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether a directory is there that nothing lies in any more.
    fn keeps_empty_directories(&self) -> bool {
        true
    }

    /// The registry's root directory, for people.
    fn root(&self) -> &Path;

    /// What leads to this storage again: the root, or a configuration in which its credentials are.
    fn origin(&self) -> &Path {
        self.root()
    }

    /// The path of `docker/registry/v2` below the root.
    fn layout(&self) -> &Layout;

    /// How large the file system of the blobs is, and how much of it is free; `None` when that is not
    /// known.
    fn space(&self) -> Option<Space> {
        None
    }

    /// What of a file takes space on its disk.
    ///
    /// # Errors
    /// As of [`Self::stat`]; [`io::ErrorKind::Unsupported`] where nothing of the kind is known.
    fn allocation(&self, _path: &Path) -> io::Result<Allocation> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What lies at `path`, and all below it on the same file system, takes; `names_left` is lowered by each
    /// name that is looked at, and at 0 the answer is less than all.
    ///
    /// # Errors
    /// When it is not there; [`io::ErrorKind::Unsupported`] where nothing is known of a disk.
    fn usage(&self, _path: &Path, _names_left: &mut u64) -> io::Result<Usage> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What the provider of a bucket says, after [`Self::prepare`]; `None` on a file system.
    fn bucket_facts(&self) -> Option<BucketFacts> {
        None
    }

    /// Gives the path and the storage class of all that lies below `blobs` in a bucket, in the order of paths.
    fn each_storage_class(&self, _take: &mut dyn FnMut(&Path, &str)) {}

    /// What the registry's configuration says, if that was given.
    fn configured(&self) -> Option<&Configured> {
        None
    }

    /// The registry behind this one, when a configuration says that it is a pull-through cache.
    fn proxied_url(&self) -> Option<&str> {
        self.configured()?.proxied_url.as_deref()
    }
}

/// The fixed paths of a registry's layout (distribution `registry/storage/paths.go`), relative to
/// the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    v2: PathBuf,
}

impl Layout {
    /// The layout whose `blobs` and `repositories` lie in `v2`.
    pub fn new(v2: PathBuf) -> Self {
        Self { v2 }
    }

    /// `docker/registry/v2/blobs`.
    pub fn blobs(&self) -> PathBuf {
        self.v2.join("blobs")
    }

    /// `docker/registry/v2/repositories`.
    pub fn repositories(&self) -> PathBuf {
        self.v2.join("repositories")
    }

    /// The file in which the registry keeps the bytes of a sha256 blob.
    pub fn blob_data(&self, hex: &str) -> PathBuf {
        let mut path = self.blobs();
        path.extend(["sha256", hex.get(..2).unwrap_or("xx"), hex, "data"]);
        path
    }
}
