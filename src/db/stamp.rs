//! Telling one snapshot file from another without opening it.

use std::path::Path;

/// What a database file is at a moment. It differs when another scan has put a snapshot in place or
/// marked the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    modified_ns: i128,
    size_bytes: u64,
}

impl FileStamp {
    /// The stamp of the file at `path`; `None` when there is none.
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            modified_ns: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
            size_bytes: found.size(),
        })
    }
}

/// Whether there is a database, or something that is none. An empty file is nothing: a full disk left
/// it, or `mktemp` made it.
pub(super) fn is_there(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.is_dir() || facts.len() > 0)
}
