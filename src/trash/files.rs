//! The few files of the trash, and names in it.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Deserialize;

use super::error::TrashError;
use super::moves::{self, MAX_MOVES_BYTES, Move, RunHeader};
use super::paths::{COPYING, GONE, MOVES, TRASH};
use super::tree::remove_tree;
use crate::model::clutter;
use crate::storage::{FileKind, Storage, StorageWriter};

/// The first line of a list is far shorter.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Names in the trash, sorted.
pub(super) fn names(storage: &dyn Storage) -> Result<Vec<String>, TrashError> {
    let entries = match storage.list(Path::new(TRASH)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(TrashError::Read { path: storage.root().join(TRASH), source });
        }
        Ok(entries) => entries,
    };
    // A plain file is no run, and neither is what programs of a NAS leave; a link in the place of one counts
    // as damaged.
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| matches!(entry.kind, FileKind::Directory | FileKind::Symlink))
        .filter(|entry| clutter::of_entry(entry.name.as_bytes(), false).is_none())
        .filter_map(|entry| entry.name.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The JSON in the first line of a file; `None` when it is something else.
pub(super) fn read_first_line<T: for<'de> Deserialize<'de>>(
    storage: &dyn Storage,
    path: &Path,
) -> io::Result<Option<T>> {
    let content = storage.read(path, MAX_HEADER_BYTES)?;
    let line = content.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(serde_json::from_slice(line).ok())
}

/// The list of the run in `directory`.
pub(super) fn read_list(
    storage: &dyn Storage,
    directory: &Path,
) -> Result<(RunHeader, Vec<Move>), TrashError> {
    let file = directory.join(MOVES);
    let shown = storage.root().join(&file);
    let content = storage
        .read(&file, MAX_MOVES_BYTES)
        .map_err(|source| TrashError::Read { path: shown.clone(), source })?;
    if !content.is_whole {
        let source = io::ErrorKind::FileTooLarge.into();
        return Err(TrashError::Read { path: shown, source });
    }
    moves::read(&content.bytes, storage.layout(), &shown)
}

/// Removes what a killed process was copying into a run, or removing from it.
pub(super) fn remove_half_done(storage: &dyn StorageWriter, directory: &Path) -> io::Result<()> {
    for entry in storage.list(directory)? {
        let name = entry.name.to_string_lossy();
        if name.starts_with(COPYING) || name.starts_with(GONE) {
            remove_tree(storage, &directory.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Whether anything has that name.
pub(super) fn exists(storage: &dyn Storage, path: &Path) -> io::Result<bool> {
    match storage.stat(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The error of writing at `path`.
pub(super) fn error_at(
    storage: &dyn Storage,
    path: &Path,
) -> impl FnOnce(io::Error) -> TrashError + use<> {
    let path = storage.root().join(path);
    move |source| TrashError::Write { path, source }
}
