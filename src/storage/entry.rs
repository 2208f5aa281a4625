//! What the kernel says of a directory's entries.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, OFlags, RawDir, Stat};

use super::{FileFacts, FileKind};

/// How a directory is opened: never through a symbolic link.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Holds some 200 names of blobs at once.
const DIRECTORY_BUFFER_BYTES: usize = 16 << 10;

/// The names in a directory, and what they stand for if the file system says so right away.
pub(super) fn names_in(directory: &OwnedFd) -> io::Result<Vec<(OsString, FileType)>> {
    first_names_in(directory, usize::MAX)
}

/// The first names in a directory, and no more than `limit`.
pub(super) fn first_names_in(
    directory: &OwnedFd,
    limit: usize,
) -> io::Result<Vec<(OsString, FileType)>> {
    let mut buffer = [MaybeUninit::uninit(); DIRECTORY_BUFFER_BYTES];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut names = Vec::new();
    while names.len() < limit
        && let Some(entry) = entries.next()
    {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

/// What a file's blocks take.
pub(super) fn allocated_bytes(stat: &Stat) -> u64 {
    /// The unit of `st_blocks` (POSIX leaves it open; Linux has this one on every file system).
    const BLOCK_BYTES: u64 = 512;
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_BYTES)
}

/// What the kernel says of a file.
pub(super) fn facts_of(stat: &Stat) -> FileFacts {
    FileFacts {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        allocated_bytes: allocated_bytes(stat),
        link_count: stat.st_nlink as _,
        modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
        changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
        inode: stat.st_ino,
        owner: stat.st_uid,
        permissions: stat.st_mode & 0o7777,
    }
}

/// Times outside 1678-2262 stand at the end of what the database can hold.
pub(super) fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// What a directory says that a name stands for.
pub(super) fn kind_of(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    }
}
