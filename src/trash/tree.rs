//! Directory trees: removing them, whole or as far as they are empty. Never follows a link, never goes deeper than a
//! registry does.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::{FileKind, StorageWriter};

/// A repository's name has 255 bytes, so no tree of a registry is deeper.
pub const MAX_DEPTH: usize = 160;

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
            Ok(facts) => self.remove_kind(path, facts.kind, MAX_DEPTH)?,
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

    fn remove_kind(&mut self, path: &Path, kind: FileKind, depth: usize) -> io::Result<()> {
        if kind != FileKind::Directory {
            if self.last == Some(path) {
                return Ok(());
            }
            return self.forgive(path, self.remove_file(path));
        }
        if depth == 0 {
            return Err(io::Error::other("the directory is too deep for a registry's"));
        }
        match self.storage.list(path) {
            Ok(entries) => {
                for entry in entries {
                    self.remove_kind(&path.join(entry.name), entry.kind, depth - 1)?;
                }
            }
            Err(error) => self.forgive(path, Err(error))?,
        }
        if self.last.is_some_and(|last| last.starts_with(path)) {
            return Ok(());
        }
        self.forgive(path, self.storage.remove_directory(path))
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

/// Removes the directories below `directory`, and it itself, as far as they are empty. Gives what
/// else is there, at most [`MAX_LEFTOVERS`] of it, and leaves what `is_kept` as it is.
pub fn remove_empty_directories(
    storage: &dyn StorageWriter,
    directory: &Path,
    is_kept: &dyn Fn(&Path) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let mut others = Vec::new();
    remove_empty_below(storage, directory, is_kept, MAX_DEPTH, &mut others)?;
    Ok(others)
}

fn remove_empty_below(
    storage: &dyn StorageWriter,
    directory: &Path,
    is_kept: &dyn Fn(&Path) -> bool,
    depth: usize,
    others: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let entries = match storage.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = directory.join(entry.name);
        if is_kept(&path) {
            continue;
        }
        if entry.kind == FileKind::Directory && depth > 0 {
            remove_empty_below(storage, &path, is_kept, depth - 1, others)?;
        } else if others.len() < MAX_LEFTOVERS {
            others.push(path);
        }
    }
    match storage.remove_directory(directory) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
