//! What the trash holds.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::destination::Destination;
use super::error::TrashError;
use super::files::{exists, names, read_first_line, read_list};
use super::moves::{Counts, Move, MoveKind, RunHeader};
use super::paths::{DONE, MOVES, TRASH};
use crate::storage::Storage;

/// A run in the trash.
#[derive(Debug)]
pub struct RunInfo {
    /// Its name, after the time when it began.
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

/// Every run in the order in which they began. What is damaged is a row too.
pub fn list(storage: &dyn Storage) -> Result<Vec<RunInfo>, TrashError> {
    let mut runs = Vec::new();
    for (run, _) in in_order(storage)? {
        runs.push(info(storage, run));
    }
    Ok(runs)
}

/// The newest run that has a list of moves.
///
/// # Errors
/// [`TrashError::Empty`] when there is none.
pub fn newest(storage: &dyn Storage) -> Result<String, TrashError> {
    for (run, _) in in_order(storage)?.into_iter().rev() {
        let list = Path::new(TRASH).join(&run).join(MOVES);
        // What is there and cannot be looked at is an error when it is read.
        if exists(storage, &list).unwrap_or(true) {
            return Ok(run);
        }
    }
    Err(TrashError::Empty(storage.root().join(TRASH)))
}

/// What the first line of a run's list says.
#[derive(Debug)]
pub(super) enum Header {
    /// It has no list: it moved nothing.
    Missing,
    /// It cannot be read, so nothing says when the run began.
    Unreadable,
    /// What it says.
    Read(RunHeader),
}

/// The runs in the order in which they began: by the sequence in their lists, which no clock moves,
/// then by the time there. Those that do not say it come last.
pub(super) fn in_order(storage: &dyn Storage) -> Result<Vec<(String, Header)>, TrashError> {
    let mut runs: Vec<(String, Header)> = names(storage)?
        .into_iter()
        .map(|run| {
            let list = Path::new(TRASH).join(&run).join(MOVES);
            let header = match read_first_line(storage, &list) {
                Ok(Some(header)) => Header::Read(header),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Header::Missing,
                Ok(None) | Err(_) => Header::Unreadable,
            };
            (run, header)
        })
        .collect();
    // Stable, so that names decide last.
    runs.sort_by_key(|(_, header)| match header {
        Header::Read(header) => (0, header.sequence, header.started_at),
        Header::Missing | Header::Unreadable => (1, 0, Timestamp::MIN),
    });
    Ok(runs)
}

/// The sequence of a run that begins now.
pub(super) fn next_sequence(storage: &dyn Storage) -> Result<u64, TrashError> {
    let known = in_order(storage)?.into_iter().map(|(_, header)| match header {
        Header::Read(header) => header.sequence,
        Header::Missing | Header::Unreadable => 0,
    });
    Ok(known.max().unwrap_or(0).saturating_add(1))
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
        still_there(storage, &Destination::new(&directory, header.schema, &moves), &moves)
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
    destination: &Destination,
    moves: &[Move],
) -> Result<(Counts, u64), TrashError> {
    let mut counts = Counts::default();
    let mut size_bytes = 0_u64;
    let all = moves.iter().enumerate();
    for (number, item) in all.filter(|(_, item)| item.kind != MoveKind::Directory) {
        let taken = destination.of(number, item);
        let is_there = exists(storage, &taken)
            .map_err(|source| TrashError::Read { path: storage.root().join(&taken), source })?;
        if is_there {
            counts.add(item.kind);
            size_bytes = size_bytes.saturating_add(item.size_bytes);
        }
    }
    Ok((counts, size_bytes))
}
