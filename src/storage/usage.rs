//! What files and directories take of a disk.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use serde::{Deserialize, Serialize};

use super::entry::{DIRECTORY, allocated_bytes, facts_of, names_in};
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
pub(super) struct Tree {
    /// What was seen.
    pub usage: Usage,
    /// How many names may still be looked at.
    pub names_left: u64,
    /// The disk of `parent`: what is mounted lies on another one.
    device: u64,
    /// Files with several names that were counted.
    counted: HashSet<u64>,
}

impl Tree {
    /// Counts what `name` in `parent` is and all that lies below it. No symbolic link is followed.
    pub fn look(parent: BorrowedFd<'_>, name: &OsStr, names_left: u64) -> io::Result<Self> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut tree = Self {
            usage: Usage::default(),
            names_left,
            device: rustix::fs::fstat(parent)?.st_dev,
            counted: HashSet::new(),
        };
        tree.count(parent, name, &stat, super::MAX_DEPTH);
        Ok(tree)
    }

    fn count(&mut self, parent: BorrowedFd<'_>, name: &OsStr, stat: &Stat, depth: usize) {
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
            self.below(&directory, depth - 1);
        }
    }

    fn below(&mut self, directory: &OwnedFd, depth: usize) {
        for (name, _) in names_in(directory).unwrap_or_default() {
            if self.names_left == 0 {
                return;
            }
            // What vanished takes no space.
            if let Ok(stat) = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                self.count(directory.as_fd(), &name, &stat, depth);
            }
        }
    }
}
