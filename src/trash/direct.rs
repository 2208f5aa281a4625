//! Deleting at once, without the trash: for a disk too full for a list of moves, or a storage of
//! several mounts. What is deleted here is gone.

use std::io;
use std::path::Path;

use super::paths::may_be_taken;
use super::tree::{Left, Remover};
use crate::storage::StorageWriter;

/// Whoever calls it holds the [`StorageLock`](super::StorageLock). Removes a file, or a directory with all below it. The file `last` below it goes after all
/// others: of a tag `current/link`, so that one who is killed in between leaves a tag that works.
/// Gives what is in use (`.nfs…` files, a directory into which something was put meanwhile), which
/// stays. What is missing is done.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for what is not below `blobs` or `repositories`, and for a
/// `last` outside of `path`.
pub fn remove(
    storage: &dyn StorageWriter,
    path: &Path,
    last: Option<&Path>,
) -> io::Result<Vec<Left>> {
    let may = |path: &Path| may_be_taken(storage.layout(), path);
    if !may(path) || last.is_some_and(|last| !may(last) || last == path || !last.starts_with(path))
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut remover = Remover::new(storage, last);
    remover.remove(path)?;
    Ok(remover.left)
}
