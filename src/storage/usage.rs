//! What files and directories take of a disk.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use serde::{Deserialize, Serialize};

use super::entry::{DIRECTORY, allocated_bytes, facts_of, first_names_in};
use super::{FileFacts, Leaf, LeafState};

/// What files take of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Files that were seen.
    pub file_count: u64,
    /// Directories that were seen.
    pub directory_count: u64,
    /// Sizes of the files together.
    pub size_bytes: u64,
    /// Blocks of the files: fewer bytes where they are sparse or compressed, more where they are small.
    pub disk_bytes: u64,
    /// Of these, blocks of files with more than one name: removing one of the names frees nothing.
    pub hard_linked_bytes: u64,
    /// Blocks of the directories, where they were looked at.
    pub directory_bytes: u64,
}

impl Usage {
    /// Counts a file.
    pub fn add_file(&mut self, facts: &FileFacts) {
        self.file_count += 1;
        self.size_bytes = self.size_bytes.saturating_add(facts.size_bytes);
        self.disk_bytes = self.disk_bytes.saturating_add(facts.allocated_bytes);
        if facts.link_count > 1 {
            self.hard_linked_bytes = self.hard_linked_bytes.saturating_add(facts.allocated_bytes);
        }
    }

    /// Counts the files of leaves, and for each leaf the directories that lead to it.
    pub fn add_leaves(&mut self, leaves: &[Leaf], directories_each: u64) {
        for leaf in leaves {
            match &leaf.state {
                LeafState::NotADirectory(_) => {}
                LeafState::File { facts, .. } => {
                    self.directory_count += directories_each;
                    self.add_file(facts);
                }
                _ => self.directory_count += directories_each,
            }
        }
    }

    /// Adds up two.
    pub fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.file_count, other.file_count),
            (&mut self.directory_count, other.directory_count),
            (&mut self.size_bytes, other.size_bytes),
            (&mut self.disk_bytes, other.disk_bytes),
            (&mut self.hard_linked_bytes, other.hard_linked_bytes),
            (&mut self.directory_bytes, other.directory_bytes),
        ];
        for (sum, number) in sums {
            *sum = sum.saturating_add(number);
        }
    }
}

/// A look at a tree about which nothing is known, down to a number of names.
pub(super) struct Tree<'m> {
    /// What was seen.
    pub usage: Usage,
    /// How many names may still be looked at.
    pub names_left: u64,
    /// The disk of `parent`: what is mounted lies on another one.
    device: u64,
    /// Where something is mounted. That is not touched: a server that is gone would never answer.
    mounts: &'m BTreeSet<PathBuf>,
    /// Files with several names that were counted.
    counted: HashSet<u64>,
}

impl<'m> Tree<'m> {
    /// Counts what `name` in `parent` is and all that lies below it. No symbolic link is followed. `path` is that of
    /// `parent`, as [`mounts`] has it.
    pub fn look(
        (parent, path): (BorrowedFd<'_>, &Path),
        name: &OsStr,
        mounts: &'m BTreeSet<PathBuf>,
        names_left: u64,
    ) -> io::Result<Self> {
        let device = rustix::fs::fstat(parent)?.st_dev;
        let (usage, counted) = (Usage::default(), HashSet::new());
        let mut tree = Self { usage, names_left, device, mounts, counted };
        let path = path.join(name);
        if let Some(stat) = tree.stat(parent, name, &path)? {
            tree.count(parent, name, &stat, &path, super::MAX_DEPTH);
        }
        Ok(tree)
    }

    /// `None` where something is mounted.
    fn stat(&self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> io::Result<Option<Stat>> {
        if self.mounts.contains(path) {
            return Ok(None);
        }
        // A directory that mounts itself when it is looked at is not one yet.
        let flags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT);
        Ok(Some(rustix::fs::statat(parent, name, flags)?))
    }

    fn count(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
        path: &Path,
        depth: usize,
    ) {
        if stat.st_dev != self.device {
            return;
        }
        self.names_left = self.names_left.saturating_sub(1);
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if stat.st_nlink < 2 || self.counted.insert(stat.st_ino) {
                self.usage.add_file(&facts_of(stat));
            }
            return;
        }
        self.usage.directory_count += 1;
        self.usage.directory_bytes += allocated_bytes(stat);
        // What may not be listed is counted by itself.
        let Ok(directory) = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()) else {
            return;
        };
        if depth > 0 {
            self.below(&directory, path, depth - 1);
        }
    }

    fn below(&mut self, directory: &OwnedFd, path: &Path, depth: usize) {
        let limit = usize::try_from(self.names_left).unwrap_or(usize::MAX);
        for (name, _) in first_names_in(directory, limit).unwrap_or_default() {
            if self.names_left == 0 {
                return;
            }
            let path = path.join(&name);
            // What vanished takes no space.
            if let Ok(Some(stat)) = self.stat(directory.as_fd(), &name, &path) {
                self.count(directory.as_fd(), &name, &stat, &path, depth);
            }
        }
    }
}

/// Directories on which something is mounted, as the kernel knows them: nothing that is mounted is asked. None where the
/// kernel does not say.
///
/// Source: `proc_pid_mountinfo(5)`, the fifth field.
pub(super) fn mounts() -> BTreeSet<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = table.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields.map(|field| PathBuf::from(unescaped(field))).collect()
}

/// Blanks, line ends and backslashes stand there as three octal digits behind a backslash.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let [first, others @ ..] = rest {
        let octal = others.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| str::from_utf8(digits).ok());
        let escaped = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[3..] } else { others };
    }
    OsString::from_vec(bytes)
}

/// Where an open directory is, as [`mounts`] has it.
pub(super) fn path_of(directory: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let number = directory.as_raw_fd();
    std::fs::read_link(format!("/proc/self/fd/{number}"))
}
