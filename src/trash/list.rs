//! What the trash holds.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::error::TrashError;
use super::moves::{Counts, Move, MoveKind};
use super::paths::{DONE, FILES, MOVES, TRASH};
use super::run::{exists, read_list};
use crate::storage::{FileKind, Storage};

/// A run in the trash.
#[derive(Debug)]
pub struct RunInfo {
    /// Its name; names sort by time.
    pub run: String,
    /// When it began, if its list can be read.
    pub started_at: Option<Timestamp>,
    /// How far it came.
    pub state: RunState,
    /// What is still in the trash.
    pub counts: Counts,
    /// The sizes of that together: what a purge frees.
    pub size_bytes: u64,
}

/// How far a run came.
#[derive(Debug)]
pub enum RunState {
    /// To its end.
    Finished,
    /// It was stopped while it moved, or is at it.
    Unfinished,
    /// It was stopped before it moved anything.
    NotBegun,
    /// Its list, or what it took, cannot be looked at.
    Damaged(TrashError),
}

/// Every run, oldest first. What is damaged is a row too.
pub fn list(storage: &dyn Storage) -> Result<Vec<RunInfo>, TrashError> {
    let mut runs = Vec::new();
    for run in names(storage)? {
        runs.push(info(storage, run));
    }
    Ok(runs)
}

/// The newest run that has a list of moves.
///
/// # Errors
/// [`TrashError::Empty`] when there is none.
pub fn newest(storage: &dyn Storage) -> Result<String, TrashError> {
    for run in names(storage)?.into_iter().rev() {
        let list = Path::new(TRASH).join(&run).join(MOVES);
        // Whatever is there, and cannot be looked at, is told when it is read.
        if exists(storage, &list).unwrap_or(true) {
            return Ok(run);
        }
    }
    Err(TrashError::Empty(storage.root().join(TRASH)))
}

/// Names in the trash, oldest first.
pub(super) fn names(storage: &dyn Storage) -> Result<Vec<String>, TrashError> {
    let entries = match storage.list(Path::new(TRASH)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(TrashError::Read { path: storage.root().join(TRASH), source });
        }
        Ok(entries) => entries,
    };
    // A plain file is nobody's run; a link in the place of one is told as damaged.
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| matches!(entry.kind, FileKind::Directory | FileKind::Symlink))
        .filter_map(|entry| entry.name.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn info(storage: &dyn Storage, run: String) -> RunInfo {
    let directory = Path::new(TRASH).join(&run);
    let mut info = RunInfo {
        run,
        started_at: None,
        state: RunState::Unfinished,
        counts: Counts::default(),
        size_bytes: 0,
    };
    let looked = read_list(storage, &directory).and_then(|(header, moves)| {
        info.started_at = Some(header.started_at);
        still_there(storage, &directory, &moves)
    });
    info.state = match looked {
        Ok((counts, size_bytes)) => {
            (info.counts, info.size_bytes) = (counts, size_bytes);
            let is_done = exists(storage, &directory.join(DONE)).unwrap_or(false);
            if is_done { RunState::Finished } else { RunState::Unfinished }
        }
        Err(TrashError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            RunState::NotBegun
        }
        Err(error) => RunState::Damaged(error),
    };
    info
}

/// What of the list is in the trash.
fn still_there(
    storage: &dyn Storage,
    directory: &Path,
    moves: &[Move],
) -> Result<(Counts, u64), TrashError> {
    let mut counts = Counts::default();
    let mut size_bytes = 0_u64;
    let files = directory.join(FILES);
    for item in moves.iter().filter(|item| item.kind != MoveKind::Directory) {
        let taken = files.join(&item.path);
        let is_there = exists(storage, &taken)
            .map_err(|source| TrashError::Read { path: storage.root().join(&taken), source })?;
        if is_there {
            counts.add(item.kind);
            size_bytes = size_bytes.saturating_add(item.size_bytes);
        }
    }
    Ok((counts, size_bytes))
}
