//! Changing a storage: the few calls that everything which deletes, and everything which puts
//! back, is made of.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Storage;

/// The largest file that [`StorageWriter::copy_new`] copies: links and uploads' dates are far
/// smaller, and nothing else needs a copy.
pub const MAX_COPY_BYTES: u64 = 64 << 10;

/// Fills a file that is being made.
pub type Fill<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// A storage that may be changed. Paths are relative to the registry's root directory.
///
/// No call follows a symbolic link below the storage's top, replaces anything, or touches more
/// than the one name it is given: a path with `..`, or one of the top directories themselves, is
/// [`io::ErrorKind::InvalidInput`].
pub trait StorageWriter: Storage {
    /// Makes one directory; its parent must be there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when anything has that name.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// As [`Self::create_directory`], for these users. Whoever may not give a directory away gets one
    /// of their own.
    fn create_directory_as(&self, path: &Path, access: Access) -> io::Result<()>;

    /// Who may use a file or directory.
    fn access(&self, path: &Path) -> io::Result<Access>;

    /// Renames a file or directory with all below it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name `to`;
    /// [`io::ErrorKind::NotFound`] when `from` or the parent of `to` is missing;
    /// [`io::ErrorKind::CrossesDevices`] between two mounts.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name that is no directory. A symbolic link is removed, not what it leads to.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`io::ErrorKind::DirectoryNotEmpty`] when something is in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a file, lets `fill` write it, and waits until its bytes are on disk. Its name is
    /// there for good only after [`Self::sync_directory`]. When that fails no file is left, unless
    /// removing it fails too.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when anything has that name; the error of `fill`.
    fn write_new_with(&self, path: &Path, fill: Fill<'_>) -> io::Result<()>;

    /// As [`Self::write_new_with`], with these bytes.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_new_with(path, &mut |file| file.write_all(bytes))
    }

    /// Waits until the names in a directory are on disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Copies a regular file of at most [`MAX_COPY_BYTES`] with its mtime, owner and mode, and waits
    /// until it is on disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name `to`;
    /// [`io::ErrorKind::FileTooLarge`] when it is larger.
    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Bytes that this process may still write to the disk of the root.
    fn free_bytes(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The mount that a directory lies on.
    fn mount_of(&self, directory: &Path) -> io::Result<MountId>;

    /// Locks a file, which is made when it is missing, or a directory (the empty path is the root)
    /// against every other process that locks it. `None` when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<HeldLock>>;
}

/// Who may use a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The permission bits, without the kind of the file.
    pub mode: u32,
}

/// A mount; a rename works only within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountId {
    /// The device's major and minor number.
    pub(super) device: (u32, u32),
    /// The kernel's number of the mount; kernels before 5.8 do not give it.
    pub(super) mount: Option<u64>,
}

/// A lock, held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct HeldLock {
    pub(super) _descriptor: OwnedFd,
}

/// All of a file, or [`io::ErrorKind::FileTooLarge`].
pub(super) fn read_whole(storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let content = storage.read(path, limit)?;
    if content.is_whole { Ok(content.bytes) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}
