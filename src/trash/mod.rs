//! The one place through which everything that deletes goes.
//!
//! A deletion is a rename to `<root>/.regsql/trash/<run>/files/<number in the list>`. Before the first one,
//! the list of all of them lies on disk in `<run>/moves.jsonl`, so whoever is killed at any point
//! can be undone with nothing but the storage. `done.json` says that a run came to its end.
//!
//! Guarantees: only names strictly below `blobs` and `repositories` are taken; nothing is ever
//! replaced; nothing outside `.regsql/trash` but an empty directory is removed for good, except by
//! [`direct`]. Every byte that is read back is treated as a stranger's.

pub mod aside;
mod destination;
pub mod direct;
mod error;
mod files;
mod held;
mod in_place;
mod item;
mod list;
mod lock;
mod moves;
#[cfg(feature = "object-storage")]
pub mod object;
mod paths;
mod purge;
mod remover;
mod reserve;
mod run;
mod short;
mod summary;
mod tree;
mod undo;

pub use error::TrashError;
pub use held::{HeldRun, held};
pub use list::{RunInfo, RunState, list, newest};
pub use lock::{StorageLock, lock_job};
pub use moves::RunSummary;
pub use moves::{Counts, Move, MoveKind, RunHeader};
pub use purge::{PurgeOptions, PurgeReport, PurgedRun, purge, purge_one, purge_preview};
pub use remover::{BeginOptions, FileTrash, Keeping, Remover, Trash, Way};
pub use reserve::{fill as fill_reserve, size_bytes as reserve_bytes};
pub use run::{PutBack, RemovedDirectory, TrashRun};
pub use summary::{LastRun, TrashSummary, record_exit, record_last, summary};
pub use tree::Left;
pub use undo::{UndoReport, roll_back, undo};

/// Lists as bytes, for the fuzz targets.
#[doc(hidden)]
pub mod moves_list {
    pub use super::moves::{MAX_MOVES_BYTES, read, write};
}

/// Where something that a run took lies, or would lie.
#[doc(hidden)]
pub fn place_in_trash(
    storage: &dyn crate::storage::Storage,
    run: &str,
    path: &std::path::Path,
) -> Result<std::path::PathBuf, TrashError> {
    let directory = run::existing(storage, run)?;
    let (header, moves) = files::read_list(storage, &directory)?;
    Ok(destination::Destination::new(&directory, header.schema, &moves).of_path(path))
}
