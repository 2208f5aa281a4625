//! Directory trees: removing them, whole or as far as they are empty. Never follows a link, never goes deeper than a
//! registry does.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::clutter;
use crate::storage::{FileKind, StorageWriter, walk_up};

/// Leftovers that are named; more than a person reads.
const MAX_LEFTOVERS: usize = 1000;

/// Something that could not be removed, and is no reason to stop.
#[derive(Debug)]
pub struct Left {
    /// Where it still is.
    pub path: PathBuf,
    /// Why.
    pub reason: io::Error,
}

/// Removes trees name by name, which needs no free space.
pub struct Remover<'s> {
    storage: &'s dyn StorageWriter,
    /// This file goes after all others.
    last: Option<&'s Path>,
    /// What could not be removed.
    pub left: Vec<Left>,
}

impl<'s> Remover<'s> {
    pub fn new(storage: &'s dyn StorageWriter, last: Option<&'s Path>) -> Self {
        Self { storage, last, left: Vec::new() }
    }

    /// Removes `path` and all below it; what is missing is done.
    ///
    /// # Errors
    /// All but [`is_busy`]: what is in use is put to [`Self::left`].
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        match self.storage.stat(path) {
            Ok(facts) if facts.kind == FileKind::Directory => {
                walk_up(self.storage, path, &|_| false, &mut |path, kind, listed| {
                    self.forgive(path, listed)?;
                    self.remove_one(path, kind)
                })?;
            }
            Ok(facts) => self.remove_one(path, facts.kind)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        self.forgive(last, self.storage.remove_file(last))?;
        for directory in last.ancestors().skip(1).take_while(|above| above.starts_with(path)) {
            self.forgive(directory, self.storage.remove_directory(directory))?;
        }
        Ok(())
    }

    /// A file, or a directory of which nothing is left; not the last file and those above it.
    fn remove_one(&mut self, path: &Path, kind: FileKind) -> io::Result<()> {
        if self.last.is_some_and(|last| last.starts_with(path)) {
            return Ok(());
        }
        let removed = match kind {
            FileKind::Directory => self.storage.remove_directory(path),
            _ => self.remove_file(path),
        };
        self.forgive(path, removed)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes).unwrap_or_default();
        // An NFS client keeps a removed file under such a name while it is open. Removing that
        // gives it another.
        if name.starts_with(b".nfs") {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.storage.remove_file(path)
    }

    fn forgive(&mut self, path: &Path, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(reason) if is_busy(&reason) => {
                self.left.push(Left { path: path.to_owned(), reason });
                Ok(())
            }
            other => other,
        }
    }
}

/// Removes a tree in the trash, whole.
pub fn remove_tree(storage: &dyn StorageWriter, path: &Path) -> io::Result<()> {
    let mut remover = Remover::new(storage, None);
    remover.remove(path)?;
    match remover.left.pop() {
        None => Ok(()),
        Some(left) => Err(left.reason),
    }
}

/// In use, or something was put into it meanwhile: the next run may have more luck.
fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty)
}

/// Makes a directory of regsql's own and the parents it lacks; one that is there is as good.
pub fn create_if_missing(storage: &dyn StorageWriter, directory: &Path) -> io::Result<()> {
    let made = match storage.create_directory(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_if_missing(storage, directory.parent().ok_or(error)?)?;
            storage.create_directory(directory)
        }
        made => made,
    };
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether a file of this name, or what holds it, is what other programs leave in any directory.
pub(super) fn is_clutter(file: &Path) -> bool {
    let names = file.iter().map(std::os::unix::ffi::OsStrExt::as_bytes);
    let last = names.clone().count();
    (1..).zip(names).any(|(at, name)| clutter::of_entry(name, at == last).is_some())
}

/// Removes the directories below `directory`, and it itself, as far as they are empty, with what programs
/// of a NAS have put into them. Gives what else is there, at most [`MAX_LEFTOVERS`] of it, and leaves what `is_kept` as it is.
pub fn remove_empty_directories(
    storage: &dyn StorageWriter,
    directory: &Path,
    is_kept: &dyn Fn(&Path) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let mut others = Vec::new();
    walk_up(storage, directory, is_kept, &mut |path, kind, listed| {
        let done = if kind == FileKind::Directory {
            listed.and_then(|()| storage.remove_directory(path))
        } else if is_clutter(path.strip_prefix(directory).unwrap_or(path)) {
            storage.remove_file(path)
        } else {
            if others.len() < MAX_LEFTOVERS {
                others.push(path.to_owned());
            }
            Ok(())
        };
        match done {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    })?;
    Ok(others)
}
