//! What the trash still holds, for who asks whether something needs it.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use super::destination::Destination;
use super::error::TrashError;
use super::files::{exists, read_list};
use super::list::in_order;
use super::moves::{Move, MoveKind};
use super::paths::{DONE, TRASH};
use crate::storage::{Content, Storage};

/// A run, and what of its list is still in the trash.
#[derive(Debug)]
pub struct HeldRun {
    /// Its name.
    pub run: String,
    /// What it took and is not back.
    pub moves: Vec<Move>,
    /// What it only marked, and is in its place: in a bucket data goes when the run is purged.
    pub marked: Vec<Move>,
    taken: Box<dyn ReadTaken>,
}

/// Where a run keeps what it took.
pub(super) trait ReadTaken: Debug + Send + Sync {
    /// The first `limit` bytes of a file that it took, or that lies in a directory that it took.
    fn read(&self, storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Content>;
}

impl ReadTaken for Destination {
    fn read(&self, storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Content> {
        storage.read(&self.of_path(path), limit)
    }
}

/// What every run holds whose list can be read, in the order in which they began; with `is_unfinished`, only those that
/// never came to their end.
///
/// # Errors
/// When the trash, or what is in it, cannot be looked at: also a list that is there and cannot be
/// read.
pub fn held(storage: &dyn Storage, is_unfinished: bool) -> Result<Vec<HeldRun>, TrashError> {
    let is_there = |path: &Path| {
        exists(storage, path)
            .map_err(|source| TrashError::Read { path: storage.root().join(path), source })
    };
    let mut runs = Vec::new();
    for (run, _) in in_order(storage)? {
        let directory = Path::new(TRASH).join(&run);
        if is_unfinished && is_there(&directory.join(DONE))? {
            continue;
        }
        let (header, listed) = match read_list(storage, &directory) {
            Ok(listed) => listed,
            // A list that is damaged or missing is told by whoever acts on the run.
            Err(TrashError::Damaged { .. }) => continue,
            Err(TrashError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            // One that cannot be read just now may be read a moment later, by who removes.
            Err(error) => return Err(error),
        };
        let destination = Destination::new(&directory, header.schema, &listed);
        let mut moves = Vec::new();
        for (number, item) in listed.into_iter().enumerate() {
            if item.kind != MoveKind::Directory && is_there(&destination.of(number, &item))? {
                moves.push(item);
            }
        }
        if !moves.is_empty() {
            runs.push(HeldRun::new(run, moves, Vec::new(), Box::new(destination)));
        }
    }
    Ok(runs)
}

impl HeldRun {
    pub(super) fn new(
        run: String,
        moves: Vec<Move>,
        marked: Vec<Move>,
        taken: Box<dyn ReadTaken>,
    ) -> Self {
        Self { run, moves, marked, taken }
    }

    /// The first `limit` bytes of a file that it took, or that lies in a directory that it took.
    pub fn read(&self, storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Content> {
        self.taken.read(storage, path, limit)
    }
}
