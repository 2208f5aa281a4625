//! Space that is set aside while there is some, for the list and the names of a deletion on a disk that is
//! full: `.regsql/reserve`, a file of zeros.

use std::io;
use std::path::Path;

use super::paths::OWN;
use crate::storage::{Storage, StorageWriter};

const RESERVE: &str = ".regsql/reserve";
/// At most: the list of some 60,000 things, with their names in the trash.
const MAX_BYTES: u64 = 6 << 20;
/// Less is not worth a file.
const MIN_BYTES: u64 = 64 << 10;
/// Of what is free, this part is set aside.
const PART: u64 = 16;

/// Gives the space back. False when none was set aside.
pub fn release(storage: &dyn StorageWriter) -> bool {
    storage.remove_file(Path::new(RESERVE)).is_ok()
}

/// Sets it aside again, if there is room. Nothing depends on it, so whatever fails is left.
pub fn fill(storage: &dyn StorageWriter) {
    let path = Path::new(RESERVE);
    let size_bytes = storage.free_bytes().map_or(0, |free| (free / PART).min(MAX_BYTES));
    if size_bytes >= MIN_BYTES
        && storage.stat(Path::new(OWN)).is_ok()
        && storage.stat(path).is_err()
    {
        drop(storage.write_new(path, &vec![0; size_bytes as usize]));
    }
}

/// How much is set aside.
pub fn size_bytes(storage: &dyn Storage) -> u64 {
    storage.stat(Path::new(RESERVE)).map_or(0, |facts| facts.size_bytes)
}

/// Whether the disk, or what a user may have of it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Does something again with the space that was set aside, when the disk is full.
///
/// # Errors
/// Of what is done.
pub fn with_reserve<T>(
    storage: &dyn StorageWriter,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    match attempt() {
        Err(error) if is_full(&error) && release(storage) => attempt(),
        done => done,
    }
}
