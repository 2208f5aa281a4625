//! A registry on a local (or mounted) file system.
//!
//! Every path is opened below a descriptor of its top directory with `openat2` and "no symbolic
//! links", so nothing on disk can lead the scan elsewhere. The top directories `blobs` and
//! `repositories` may themselves be links or mounts: that is the operator's own arrangement.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags};
use rustix::io::Errno;

use super::entry::{DIRECTORY, facts_of, kind_of, names_in, nanoseconds};
use super::{
    Allocation, Content, DirectoryStamp, Entry, FileFacts, FileKind, Layout, Leaf, LeafOptions,
    LeafState, Location, Place, Space, Storage, Streamed, Usage,
    paths::OWN,
    stream::stream,
    usage::{self, Tree},
};
use crate::model::authority::Configured;

/// A registry's root directory on a file system.
#[derive(Debug)]
pub struct FilesystemStorage {
    location: Location,
    /// Top directories, the most specific first.
    tops: Vec<Top>,
    /// Kernels before 5.6 and some sandboxes know no `openat2`.
    has_openat2: AtomicBool,
    /// Where something is mounted; read when it is needed first.
    mounts: OnceLock<BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct Top {
    /// Below the root.
    path: PathBuf,
    descriptor: OwnedFd,
    /// The device whose directories' times are proof; `None` where they are not.
    trusted_device: Option<u64>,
}

/// Numbers of file systems (`linux/magic.h`) on which a directory's times change with its names.
/// FUSE is not among them: object stores that are mounted make up the times of directories.
const TRUSTED_FILE_SYSTEMS: [u32; 8] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0x0102_1994, // tmpfs
    0x794c_7630, // overlayfs
    0x6969,      // NFS
];

/// Without `NONBLOCK`, opening a FIFO would wait for a writer.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// Nothing outside the top directory, and no link on the way.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A cold directory of 20,000 tags is looked at by many threads; a small one is not worth it.
const MIN_LEAVES_PER_TASK: usize = 256;

impl FilesystemStorage {
    /// Opens the top directories.
    ///
    /// # Errors
    /// When one of them exists and cannot be opened.
    pub fn open(location: Location) -> io::Result<Self> {
        if !matches!(location.place, Place::Filesystem) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let follow = DIRECTORY.difference(OFlags::NOFOLLOW);
        let mut tops = Vec::new();
        for relative in [location.layout.blobs(), location.layout.repositories(), PathBuf::new()] {
            match rustix::fs::open(location.root.join(&relative), follow, Mode::empty()) {
                Ok(descriptor) => {
                    let trusted_device = trusted_device(&descriptor);
                    tops.push(Top { path: relative, descriptor, trusted_device });
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (has_openat2, mounts) = (AtomicBool::new(true), OnceLock::new());
        Ok(Self { location, tops, has_openat2, mounts })
    }

    /// The top directory of a path, and the rest of the path.
    fn top<'a, 'p>(&'a self, path: &'p Path) -> io::Result<(BorrowedFd<'a>, &'p Path)> {
        self.tops
            .iter()
            .find_map(|top| Some((top.descriptor.as_fd(), path.strip_prefix(&top.path).ok()?)))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// In what is regsql's own nothing is mounted, for nothing can be renamed there. What is, is not touched:
    /// a server that is gone would never answer.
    fn must_not_be_mounted(&self, path: &Path) -> io::Result<()> {
        if !path.starts_with(OWN) {
            return Ok(());
        }
        let (top, rest) = self.top(path)?;
        // The root may have been reached by a link: the kernel knows where it is.
        let Ok(place) = usage::path_of(top).map(|top| top.join(rest)) else { return Ok(()) };
        let mounts = self.mounts.get_or_init(usage::mounts);
        let own = path.components().count();
        match place.ancestors().take(own).find(|above| mounts.contains(*above)) {
            None => Ok(()),
            Some(mount) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("something is mounted at `{}`, which is not looked at", mount.display()),
            )),
        }
    }

    pub(super) fn open_below(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        self.must_not_be_mounted(path)?;
        let (top, rest) = self.top(path)?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        if self.has_openat2.load(Ordering::Relaxed) {
            loop {
                match rustix::fs::openat2(top, rest, flags, Mode::empty(), RESOLVE) {
                    // A rename somewhere made the kernel unsure; it says to try again.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(Errno::NOSYS | Errno::PERM) => break,
                    other => return Ok(other?),
                }
            }
            self.has_openat2.store(false, Ordering::Relaxed);
        }
        Ok(open_without_links(top, rest, flags)?)
    }

    /// A regular file, and what the file system says of it.
    fn open_file(&self, path: &Path) -> io::Result<(OwnedFd, FileFacts)> {
        let descriptor = self.open_below(path, FILE)?;
        let facts = facts_of(&rustix::fs::fstat(&descriptor)?);
        if facts.kind != FileKind::File {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok((descriptor, facts))
    }
}

/// Whether a file or a link stands where a directory belongs: that is damage. Other errors say only
/// that it could not be looked at.
pub fn is_in_the_way(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTDIR | Errno::LOOP))
}

/// `openat2` by hand: one component after the other, none of them a link.
fn open_without_links(top: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut current: Option<OwnedFd> = None;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let parent = current.as_ref().map_or(top, AsFd::as_fd);
        let step = if components.peek().is_some() { DIRECTORY } else { flags };
        let next = rustix::fs::openat(parent, component.as_os_str(), step, Mode::empty())?;
        current = Some(next);
    }
    current.ok_or(Errno::INVAL)
}

impl Storage for FilesystemStorage {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        list_open(&self.open_below(directory, DIRECTORY)?)
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        let descriptor = self.open_below(directory, DIRECTORY)?;
        let names = names_in(&descriptor)?;
        let has_openat2 = self.has_openat2.load(Ordering::Relaxed);
        let look_at = |(name, file_type): (OsString, FileType)| {
            let state = match file_type {
                FileType::Directory | FileType::Unknown => {
                    let path = Path::new(&name).join(leaf);
                    leaf_state(descriptor.as_fd(), &name, &path, options, has_openat2)
                }
                other => LeafState::NotADirectory(kind_of(other)),
            };
            let look_inside = options.list_others && !matches!(state, LeafState::NotADirectory(_));
            let others = if look_inside {
                others_beside(descriptor.as_fd(), &name, leaf)
            } else {
                Vec::new()
            };
            let beside = options.beside.and_then(|beside| {
                let path = Path::new(&name).join(beside);
                let is_found = !matches!(state, LeafState::NotADirectory(_));
                is_found.then(|| stamp_below(descriptor.as_fd(), &path).ok()).flatten()
            });
            Leaf { name, state, others, beside: beside.map(|(stamp, _)| stamp) }
        };
        Ok(names.into_par_iter().with_min_len(MIN_LEAVES_PER_TASK).map(look_at).collect())
    }

    fn stamp(&self, directory: &Path) -> io::Result<Option<DirectoryStamp>> {
        let is_above = |top: &&Top| directory.starts_with(&top.path);
        let trusted = self.tops.iter().find(is_above).and_then(|top| top.trusted_device);
        let (top, rest) = self.top(directory)?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        let (stamp, device) = stamp_below(top, rest)?;
        Ok((trusted == Some(device)).then_some(stamp))
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.must_not_be_mounted(path)?;
        let parent =
            self.open_below(path.parent().unwrap_or(Path::new("")), DIRECTORY.union(OFlags::PATH))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(facts_of(&rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn link_target(&self, path: &Path) -> io::Result<PathBuf> {
        let parent =
            self.open_below(path.parent().unwrap_or(Path::new("")), DIRECTORY.union(OFlags::PATH))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let target = rustix::fs::readlinkat(&parent, name, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        let (descriptor, facts) = self.open_file(path)?;
        let wanted = facts.size_bytes.min(limit) as usize;
        let mut bytes = Vec::with_capacity(wanted);
        while bytes.len() < wanted {
            match rustix::io::read(&descriptor, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A vector may have room for more than was asked for.
        bytes.truncate(wanted);
        Ok(Content { bytes, is_whole: facts.size_bytes <= limit })
    }

    fn stream(
        &self,
        path: &Path,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        let (descriptor, facts) = self.open_file(path)?;
        let bytes = stream(&descriptor, facts.size_bytes, buffer, take)?;
        Ok(Streamed { facts, bytes })
    }

    fn root(&self) -> &Path {
        &self.location.root
    }

    fn layout(&self) -> &Layout {
        &self.location.layout
    }

    fn space(&self) -> Option<Space> {
        // The first top is the blobs', which may be a mount of their own.
        let descriptor = &self.tops.first()?.descriptor;
        let found = rustix::fs::fstatvfs(descriptor).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        // Some network file systems say nothing.
        (found.f_blocks > 0).then(|| Space {
            size_bytes: bytes(found.f_blocks),
            used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
            free_bytes: bytes(found.f_bavail),
        })
    }

    fn allocation(&self, path: &Path) -> io::Result<Allocation> {
        let facts = self.stat(path)?;
        Ok(Allocation { link_count: facts.link_count, size_bytes: facts.allocated_bytes })
    }

    fn usage(&self, path: &Path, names_left: &mut u64) -> io::Result<Usage> {
        let parent =
            self.open_below(path.parent().unwrap_or(Path::new("")), DIRECTORY.union(OFlags::PATH))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        // The root may have been reached by a link: the kernel knows where it is.
        let path = usage::path_of(parent.as_fd()).unwrap_or_default();
        let mounts = self.mounts.get_or_init(usage::mounts);
        let tree = Tree::look((parent.as_fd(), &path), name, mounts, *names_left)?;
        *names_left = tree.names_left;
        Ok(tree.usage)
    }

    fn configured(&self) -> Option<&Configured> {
        self.location.configured.as_ref()
    }
}

fn list_open(directory: &OwnedFd) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, file_type) in names_in(directory)? {
        let kind = match file_type {
            FileType::Unknown => {
                match rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => facts_of(&stat).kind,
                    // It vanished.
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            known => kind_of(known),
        };
        entries.push(Entry { name, kind });
    }
    Ok(entries)
}

/// What lies at `path`, whose first component is the directory entry `name`.
fn leaf_state(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    options: LeafOptions,
    has_openat2: bool,
) -> LeafState {
    let is_deep = path.components().nth(2).is_some();
    let may_follow = !is_deep || options.only_compares;
    if options.content_limit.is_none() || options.trusted_size.is_some() {
        let stat = if may_follow {
            rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)
        } else {
            stat_without_links(directory, path, has_openat2)
        };
        match stat {
            Ok(stat) => {
                let facts = facts_of(&stat);
                let is_trusted = options.trusted_size == Some(facts.size_bytes);
                if options.content_limit.is_none() || is_trusted || facts.kind != FileKind::File {
                    return state_of_facts(facts, None);
                }
            }
            Err(error) => return state_of_error(directory, name, error, is_deep),
        }
    }
    match open_leaf(directory, path, FILE, has_openat2) {
        Ok(descriptor) => match rustix::fs::fstat(&descriptor) {
            Ok(stat) => {
                let facts = facts_of(&stat);
                let content = (facts.kind == FileKind::File)
                    .then(|| read_up_to(&descriptor, options.content_limit.unwrap_or(0)));
                state_of_facts(facts, content)
            }
            Err(error) => LeafState::Unreadable(error.into()),
        },
        Err(error) if is_deep => state_of_error(directory, name, error, is_deep),
        // A file that may be looked at and not be read, a link, a socket: `stat` says which.
        Err(error) => match rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => state_of_facts(facts_of(&stat), Some(Err(error.into()))),
            Err(error) => state_of_error(directory, name, error, is_deep),
        },
    }
}

fn open_leaf(
    directory: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    has_openat2: bool,
) -> Result<OwnedFd, Errno> {
    if has_openat2 {
        rustix::fs::openat2(directory, path, flags, Mode::empty(), RESOLVE)
    } else {
        open_without_links(directory, path, flags)
    }
}

/// `stat` follows links in the middle of a path; this does not.
fn stat_without_links(
    directory: BorrowedFd<'_>,
    path: &Path,
    has_openat2: bool,
) -> Result<Stat, Errno> {
    let flags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    rustix::fs::fstat(open_leaf(directory, path, flags, has_openat2)?)
}

fn state_of_facts(facts: FileFacts, content: Option<Result<Vec<u8>, io::Error>>) -> LeafState {
    match facts.kind {
        FileKind::File => LeafState::File { facts, content },
        _ => LeafState::NotAFile(facts),
    }
}

/// `is_deep`: something lies between the entry and the leaf, and may be what is no directory.
fn state_of_error(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    error: Errno,
    is_deep: bool,
) -> LeafState {
    match error {
        Errno::NOENT => LeafState::Missing,
        Errno::NOTDIR => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if facts_of(&stat).kind != FileKind::Directory => {
                LeafState::NotADirectory(facts_of(&stat).kind)
            }
            _ if is_deep => LeafState::Unreadable(error.into()),
            // The entry is a directory and a name below it is not.
            _ => LeafState::Missing,
        },
        other => LeafState::Unreadable(other.into()),
    }
}

/// Links are 71 bytes; a buffer on the stack keeps a repository of 35,000 links small in memory.
const LEAF_BUFFER_BYTES: usize = 1024;

fn read_up_to(descriptor: &OwnedFd, limit: usize) -> Result<Vec<u8>, io::Error> {
    let mut buffer = [0; LEAF_BUFFER_BYTES];
    let limit = limit.min(LEAF_BUFFER_BYTES);
    let mut filled = 0;
    while filled < limit {
        match rustix::io::read(descriptor, &mut buffer[filled..limit]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // A link is far shorter than the buffer: a short read is its end.
        if filled < limit / 2 {
            break;
        }
    }
    Ok(buffer[..filled].to_vec())
}

/// Names beside the leaf; a directory that cannot be listed has already been reported as a leaf.
fn others_beside(directory: BorrowedFd<'_>, name: &OsStr, leaf: &Path) -> Vec<Entry> {
    let Ok(descriptor) = rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) else {
        return Vec::new();
    };
    let first =
        leaf.components().next().map_or(OsString::new(), |part| part.as_os_str().to_owned());
    let mut entries = list_open(&descriptor).unwrap_or_default();
    entries.retain(|entry| entry.name != first);
    entries
}

/// The stamp of a directory at `path`, and its device. A symbolic link on the way leads to another
/// directory, whose stamp is another one, or to the same. A network file system asks its server.
fn stamp_below(top: BorrowedFd<'_>, path: &Path) -> Result<(DirectoryStamp, u64), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::STATX_FORCE_SYNC);
    let wanted =
        StatxFlags::TYPE.union(StatxFlags::INO).union(StatxFlags::MTIME).union(StatxFlags::CTIME);
    let found = match rustix::fs::statx(top, path, flags, wanted) {
        // Kernels before 4.11 and some sandboxes.
        Err(Errno::NOSYS | Errno::PERM) => return stamp_of_stat(top, path),
        found => found?,
    };
    if FileType::from_raw_mode(found.stx_mode.into()) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    let time = |time: &rustix::fs::StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
    let stamp = DirectoryStamp {
        inode: found.stx_ino,
        modified_ns: time(&found.stx_mtime),
        changed_ns: time(&found.stx_ctime),
    };
    Ok((stamp, rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor)))
}

fn stamp_of_stat(top: BorrowedFd<'_>, path: &Path) -> Result<(DirectoryStamp, u64), Errno> {
    // Opened for reading: a network file system asks its server for the times then.
    let stat = rustix::fs::fstat(open_without_links(top, path, DIRECTORY)?)?;
    let facts = facts_of(&stat);
    let (modified_ns, changed_ns) = (facts.modified_ns, facts.changed_ns);
    Ok((DirectoryStamp { inode: stat.st_ino, modified_ns, changed_ns }, stat.st_dev))
}

fn trusted_device(top: &OwnedFd) -> Option<u64> {
    let kind = rustix::fs::fstatfs(top).ok()?.f_type;
    if !TRUSTED_FILE_SYSTEMS.contains(&(kind as u32)) {
        return None;
    }
    rustix::fs::fstat(top).ok().map(|stat| stat.st_dev)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn storage(root: &Path) -> FilesystemStorage {
        fs::create_dir_all(root.join("docker/registry/v2/blobs/sha256/ab")).unwrap();
        FilesystemStorage::open(super::super::locate(root).unwrap()).unwrap()
    }

    #[test]
    fn leaves_tell_files_from_all_else() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        let relative = Path::new("docker/registry/v2/blobs/sha256/ab");
        let shard = directory.path().join(relative);
        fs::create_dir_all(shard.join("file")).unwrap();
        fs::write(shard.join("file/data"), "12345").unwrap();
        fs::write(shard.join("file/data.1.tmp"), "").unwrap();
        fs::create_dir_all(shard.join("empty")).unwrap();
        fs::create_dir_all(shard.join("directory/data")).unwrap();
        fs::write(shard.join("stray"), "").unwrap();
        symlink("/etc", shard.join("link")).unwrap();
        fs::create_dir_all(shard.join("linked")).unwrap();
        symlink("/etc/passwd", shard.join("linked/data")).unwrap();

        let options =
            LeafOptions { content_limit: Some(100), list_others: true, ..LeafOptions::default() };
        let mut leaves = storage.list_leaves(relative, Path::new("data"), options).unwrap();
        leaves.sort_by(|a, b| a.name.cmp(&b.name));
        let found: Vec<String> = leaves
            .iter()
            .map(|leaf| {
                let state = match &leaf.state {
                    LeafState::File { facts, content: Some(Ok(content)) } => {
                        format!("{} bytes, {}", facts.size_bytes, String::from_utf8_lossy(content))
                    }
                    LeafState::NotAFile(facts) => format!("{:?}", facts.kind),
                    other => format!("{other:?}"),
                };
                format!("{}: {state}, {} others", leaf.name.display(), leaf.others.len())
            })
            .collect();
        assert_eq!(
            found,
            [
                "directory: Directory, 0 others",
                "empty: Missing, 0 others",
                "file: 5 bytes, 12345, 1 others",
                "link: NotADirectory(Symlink), 0 others",
                "linked: Symlink, 0 others",
                "stray: NotADirectory(File), 0 others",
            ]
        );
    }

    #[test]
    fn no_symbolic_link_is_followed_with_or_without_openat2() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        fs::create_dir(directory.path().join("outside")).unwrap();
        fs::write(directory.path().join("outside/data"), "secret").unwrap();
        let link = directory.path().join("docker/registry/v2/blobs/sha256/cd");
        symlink(directory.path().join("outside"), link).unwrap();
        let path = Path::new("docker/registry/v2/blobs/sha256/cd/data");
        for has_openat2 in [true, false] {
            storage.has_openat2.store(has_openat2, Ordering::Relaxed);
            assert!(storage.read(path, 100).is_err());
            assert!(storage.list(path.parent().unwrap()).is_err());
        }
    }

    #[test]
    fn a_read_stops_at_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        fs::write(directory.path().join("file"), "12345").unwrap();
        let content = storage.read(Path::new("file"), 4).unwrap();
        assert_eq!((content.bytes.as_slice(), content.is_whole), (&b"1234"[..], false));
        assert!(storage.read(Path::new("file"), 5).unwrap().is_whole);
    }

    #[test]
    fn a_file_is_streamed_in_pieces_until_its_reader_has_enough() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        fs::write(directory.path().join("file"), &content).unwrap();
        let mut buffer = vec![0; 4096];
        let mut seen = Vec::new();
        let mut take = |piece: &[u8]| {
            seen.extend_from_slice(piece);
            ControlFlow::Continue(())
        };
        let streamed = storage.stream(Path::new("file"), &mut buffer, &mut take).unwrap();
        assert_eq!((streamed.bytes, streamed.facts.size_bytes), (3_000_000, 3_000_000));
        assert!(seen == content);
        let mut stop = |_: &[u8]| ControlFlow::Break(());
        assert_eq!(storage.stream(Path::new("file"), &mut buffer, &mut stop).unwrap().bytes, 4096);
    }

    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        let made = std::process::Command::new("mkfifo").arg(directory.path().join("fifo")).status();
        assert!(made.unwrap().success());
        let error = storage.read(Path::new("fifo"), 5).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }
}
