//! Deleting beside a running registry without any room for a trash: on a disk filled to the last byte, or
//! where nothing can be renamed into one trash.
//!
//! What makes a thing visible to the registry, `link` or `data`, is renamed within its directory to a
//! name of the same length, which needs no space, and can be renamed back as long as a push may need
//! it. Only then it is removed for good. There is no list; an empty file says that such a deletion is
//! under way, so that the next one puts back what a killed one left ([`restore`]).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::direct;
use super::files::missing_is_fine;
use super::lock::StorageLock;
use super::paths::OWN;
use super::run::PutBack;
use super::tree::Left;
use crate::storage::{Content, FileFacts, FileKind, Storage, StorageWriter, walk_up};

/// The name aside.
const ASIDE: &str = "gone";

/// Empty files that say that something may be aside. A full disk may have no room for the directory of
/// the first.
const MARKS: [&str; 2] = [".regsql/aside", ".regsql-aside"];

/// A deletion that puts things aside.
pub struct Aside<'s> {
    storage: &'s dyn StorageWriter,
    _lock: &'s StorageLock,
}

impl<'s> Aside<'s> {
    /// Nothing is aside yet.
    pub fn begin(storage: &'s dyn StorageWriter, lock: &'s StorageLock) -> Self {
        // It needs a name and no space. Where even that fails, a kill leaves garbage and no broken
        // image but those that were being pushed.
        drop(storage.create_directory(Path::new(OWN)));
        for mark in MARKS {
            match storage.write_new(Path::new(mark), b"") {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
                _ => break,
            }
        }
        Self { storage, _lock: lock }
    }

    /// Puts a file aside.
    ///
    /// # Errors
    /// As of a rename.
    pub fn take(&self, file: &Path) -> io::Result<()> {
        self.storage.rename_new(file, &aside(file))
    }

    /// Puts a file back.
    ///
    /// # Errors
    /// Of the rename; that there is another one, or nothing, is an answer.
    pub fn put_back(&self, file: &Path) -> io::Result<PutBack> {
        match self.storage.rename_new(&aside(file), file) {
            Ok(()) => Ok(PutBack::Done),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(PutBack::PlaceTaken),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PutBack::NotThere),
            Err(error) => Err(error),
        }
    }

    /// The first `limit` bytes of a file that is aside.
    ///
    /// # Errors
    /// As of [`Storage::read`].
    pub fn read(&self, file: &Path, limit: u64) -> io::Result<Content> {
        self.storage.read(&aside(file), limit)
    }

    /// What is known of a file that is aside.
    ///
    /// # Errors
    /// As of [`Storage::stat`].
    pub fn stat(&self, file: &Path) -> io::Result<FileFacts> {
        self.storage.stat(&aside(file))
    }

    /// Removes for good what lies aside of `file`, and of the directory `path` around it what is empty
    /// then: a push may write there at any moment, so nothing is removed that was not looked at.
    ///
    /// # Errors
    /// As of [`direct::remove`].
    pub fn remove(&self, path: &Path, file: Option<&Path>) -> io::Result<Vec<Left>> {
        let Some(file) = file else {
            return direct::remove(self.storage, path, None);
        };
        let directory = file.parent().unwrap_or(path);
        let mut left = Vec::new();
        // Which images a tag once had; nothing is pulled by that. It goes before the link, so that a
        // deletion that is killed in between leaves a tag to be put back, and not the half of one.
        if directory != path && self.has_nothing_else(directory)? {
            left = direct::remove(self.storage, &path.join("index"), None)?;
        }
        missing_is_fine(self.storage.remove_file(&aside(file)))?;
        if self.remove_if_empty(directory)? && directory != path {
            self.remove_if_empty(path)?;
        }
        Ok(left)
    }

    /// Whether nothing but what is aside is in a directory: no push has written there.
    fn has_nothing_else(&self, directory: &Path) -> io::Result<bool> {
        match self.storage.list(directory) {
            Ok(entries) => Ok(entries.iter().all(|entry| entry.name == ASIDE)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory is gone.
    fn remove_if_empty(&self, directory: &Path) -> io::Result<bool> {
        match missing_is_fine(self.storage.remove_directory(directory)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Nothing is aside any more.
    pub fn finish(&self) {
        for mark in MARKS {
            drop(self.storage.remove_file(Path::new(mark)));
        }
    }
}

fn aside(file: &Path) -> PathBuf {
    file.with_file_name(ASIDE)
}

/// Whether a deletion that put things aside was killed.
pub fn is_left(storage: &dyn Storage) -> bool {
    MARKS.iter().any(|mark| storage.stat(Path::new(mark)).is_ok())
}

/// Puts back everything that a killed deletion had aside, blobs first. Gives how much that was.
///
/// # Errors
/// When a directory cannot be listed or a file cannot be put back; another call goes on.
pub fn restore(storage: &dyn StorageWriter, lock: &StorageLock) -> io::Result<u64> {
    let left = Aside { storage, _lock: lock };
    let layout = storage.layout();
    let mut count = 0;
    for (top, name) in [(layout.blobs(), "data"), (layout.repositories(), "link")] {
        walk_up(storage, &top, &|_| false, &mut |path, kind, listed| {
            match listed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                listed => listed?,
            }
            if kind != FileKind::File || path.file_name() != Some(OsStr::new(ASIDE)) {
                return Ok(());
            }
            match left.put_back(&path.with_file_name(name))? {
                PutBack::Done => count += 1,
                // It was pushed again.
                PutBack::PlaceTaken => storage.remove_file(path)?,
                PutBack::NotThere => {}
            }
            Ok(())
        })?;
    }
    left.finish();
    Ok(count)
}
