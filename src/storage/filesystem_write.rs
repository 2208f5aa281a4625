//! Changing a registry on a file system.
//!
//! Each name is acted on below a descriptor of its parent, which was opened without following a
//! link: whatever is planted in the storage, nothing outside of it can be reached.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, StatxFlags, Timespec, Timestamps,
};
use rustix::io::Errno;

use super::entry::DIRECTORY;
use super::write::read_whole;
use super::{
    Access, FilesystemStorage, Fill, HeldLock, MAX_COPY_BYTES, MountId, Storage, StorageWriter,
};

/// Enough to open names in a directory, and no right to read it is needed.
const PARENT: OFlags = DIRECTORY.union(OFlags::PATH);
/// Enough to ask for the facts of a name, whatever it is.
const NAME: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// What a directory may be given. Nothing there is run, so no set-user-id.
const DIRECTORY_MODE: u32 = 0o3777;
/// What a copy may be given: no bit that lends its owner's rights.
const FILE_MODE: u32 = 0o777;
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// To be written, because a lock on NFS asks for that.
const LOCK_FILE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

impl FilesystemStorage {
    /// The parent directory of `path`, opened, and the last name.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let layout = self.layout();
        if path == layout.blobs() || path == layout.repositories() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open_plain(parent, PARENT)?, name))
    }

    /// `openat2` would not leave the top through `..`; its stand-in on old kernels might.
    fn open_plain(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            self.open_below(path, flags)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn write_file(
        &self,
        path: &Path,
        fill: &mut dyn FnMut(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let descriptor = rustix::fs::openat(&parent, name, NEW_FILE, Mode::from_raw_mode(0o644))?;
        let mut out = BufWriter::with_capacity(1 << 16, File::from(descriptor));
        let written =
            fill(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
        if written.is_err() {
            let _first_error_matters = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
        }
        written
    }
}

impl StorageWriter for FilesystemStorage {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?)
    }

    fn create_directory_as(&self, path: &Path, access: Access) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        let made = rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty())?;
        give(&made, access, DIRECTORY_MODE)
    }

    fn access(&self, path: &Path) -> io::Result<Access> {
        let facts = rustix::fs::fstat(self.open_plain(path, NAME)?)?;
        Ok(Access { uid: facts.st_uid, gid: facts.st_gid, mode: facts.st_mode & 0o7777 })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&from_parent, from_name, &to_parent, to_name, flags) {
            Err(Errno::INVAL | Errno::NOSYS) if !is_below(from, to) => {
                rename_unless_there(&from_parent, from_name, &to_parent, to_name)
            }
            other => Ok(other?),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::empty())?)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            // POSIX leaves the choice between the two.
            Err(Errno::EXIST) => Err(Errno::NOTEMPTY.into()),
            other => Ok(other?),
        }
    }

    fn write_new_with(&self, path: &Path, fill: Fill<'_>) -> io::Result<()> {
        self.write_file(path, &mut |file| fill(file))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match rustix::fs::fsync(self.open_plain(path, DIRECTORY)?) {
            // Some network file systems cannot, and need not: their server keeps the names.
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let modified_ns = self.stat(from)?.modified_ns;
        let access = self.access(from)?;
        let bytes = read_whole(self, from, MAX_COPY_BYTES)?;
        let modified = Timespec {
            tv_sec: modified_ns.div_euclid(1_000_000_000),
            tv_nsec: modified_ns.rem_euclid(1_000_000_000) as _,
        };
        let times = Timestamps { last_access: modified, last_modification: modified };
        self.write_file(to, &mut |file| {
            file.write_all(&bytes)?;
            file.flush()?;
            give(file.get_ref(), access, FILE_MODE)?;
            Ok(rustix::fs::futimens(file.get_ref(), &times)?)
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(self.root())?;
        // What is kept for root, and for the file system's own needs, is not counted: the second cannot
        // be told from the first.
        let blocks = disk.f_bavail;
        Ok(blocks.saturating_mul(disk.f_frsize))
    }

    fn mount_of(&self, directory: &Path) -> io::Result<MountId> {
        let descriptor = self.open_plain(directory, PARENT)?;
        match rustix::fs::statx(&descriptor, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
            Ok(facts) => Ok(MountId {
                device: (facts.stx_dev_major, facts.stx_dev_minor),
                mount: (facts.stx_mask & StatxFlags::MNT_ID.bits() != 0)
                    .then_some(facts.stx_mnt_id),
            }),
            Err(Errno::NOSYS | Errno::PERM) => {
                let device = rustix::fs::fstat(&descriptor)?.st_dev;
                Ok(MountId {
                    device: (rustix::fs::major(device), rustix::fs::minor(device)),
                    mount: None,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<HeldLock>> {
        let descriptor = if path.as_os_str().is_empty() {
            self.open_plain(path, DIRECTORY)?
        } else {
            let (parent, name) = self.parent(path)?;
            rustix::fs::openat(&parent, name, LOCK_FILE, Mode::from_raw_mode(0o644))?
        };
        match rustix::fs::flock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(HeldLock { _descriptor: descriptor })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Gives what was just made to those users: a registry that runs as another one must be able to write
/// beside what is put back.
fn give(created: impl AsFd, access: Access, allowed: u32) -> io::Result<()> {
    let owner = rustix::fs::Uid::from_raw(access.uid);
    let group = rustix::fs::Gid::from_raw(access.gid);
    // The mode comes last, because a new owner takes bits of it away.
    let mode = Mode::from_raw_mode(access.mode & allowed);
    for outcome in
        [rustix::fs::fchown(&created, Some(owner), Some(group)), rustix::fs::fchmod(&created, mode)]
    {
        match outcome {
            // Only root may give something away, a namespace may lack the user, and some file
            // systems know no owners. What is put back is worth more than whose it is.
            Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A directory moved into itself is `EINVAL` as well.
fn is_below(from: &Path, to: &Path) -> bool {
    to.starts_with(from)
}

/// For file systems without `RENAME_NOREPLACE`, such as NFS. What is made between the look and the
/// rename would be replaced: a file by a file, or an empty directory by a directory. In the trash
/// the lock keeps all others out, so only a push while something is put back could meet that
/// window; blobs and links that it makes hold the same bytes, and a tag's directory is not empty
/// as soon as its first link is there.
fn rename_unless_there(
    from_parent: impl AsFd,
    from_name: &OsStr,
    to_parent: impl AsFd,
    to_name: &OsStr,
) -> io::Result<()> {
    match rustix::fs::statat(&to_parent, to_name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST.into()),
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(from_parent, from_name, to_parent, to_name)?),
        Err(error) => Err(error.into()),
    }
}
