//! One writer at a time for one database, and the files beside it that the writer makes: each is whole and
//! renamed, or thrown away.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::DatabaseError;

/// How long a writer waits for one that is soon done.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// One writer at a time for one database.
#[must_use]
#[derive(Debug)]
pub struct WriteLock {
    path: PathBuf,
    database: PathBuf,
    _file: File,
}

impl WriteLock {
    /// Takes the lock beside `database`. A check of content takes it for a moment every few seconds,
    /// which is waited for.
    ///
    /// # Errors
    /// [`DatabaseError::Scanning`] when another scan holds it.
    pub fn take(database: &Path) -> Result<Self, DatabaseError> {
        let began = Instant::now();
        loop {
            if let Some(lock) = Self::try_take(database)? {
                return Ok(lock);
            }
            if began.elapsed() >= LOCK_PATIENCE {
                return Err(DatabaseError::Scanning(database.to_owned()));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Takes the lock beside `database`, unless another process holds it.
    pub fn try_take(database: &Path) -> Result<Option<Self>, DatabaseError> {
        let path = beside(database, ".lock")?;
        let error = |source| DatabaseError::Write { path: path.clone(), source };
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(error)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(source)) => return Err(error(source)),
            }
            // The last holder may have removed the file between opening and locking it.
            if is_same_file(&file, &path) {
                note_unfinished(&path);
                return Ok(Some(Self { path, database: database.to_owned(), _file: file }));
            }
        }
    }

    /// The database that it is about.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Removed while still locked; whoever waits for it looks again. A leftover does no harm.
        drop(finish(&self.path, || fs::remove_file(&self.path)));
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// `.<name><suffix>` in the database's directory.
pub(super) fn beside(database: &Path, suffix: &str) -> Result<PathBuf, DatabaseError> {
    let name = database.file_name().ok_or_else(|| DatabaseError::Write {
        path: database.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "it names no file"),
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(suffix);
    Ok(database.with_file_name(hidden))
}

/// For a file that is thrown away on any error. Rows are inserted in key order, so that a small page cache is enough. Sorting
/// for an index uses a second thread.
pub(super) const NEW_FILE_PRAGMAS: &str = "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; \
     PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -4096; \
     PRAGMA temp_store = MEMORY; PRAGMA threads = 1;";

/// Opens a file that is there; one that is gone is not made. Being open for writing, the connection rolls back what a
/// killed process left in a journal.
pub(super) fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// What a new database begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// An empty file.
    New,
    /// A copy of the one whose place it takes, in which only what differs is written.
    Copy,
}

/// The files that this process is writing now. Each is begun, renamed and removed under this lock, so that none is once
/// the process ends: another one may write beside the database by then.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn note_unfinished(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// Notes a file that is to be written, and removes what a killed scan left of it: nothing else writes it while the
/// lock is held.
pub(super) fn begin(path: &Path) -> Result<(), DatabaseError> {
    note_unfinished(path);
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DatabaseError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Renames or removes a file that was noted.
pub(super) fn finish<T>(path: &Path, end: impl FnOnce() -> T) -> T {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.retain(|other| other != path);
    end()
}

/// Removes what this process has written of a new database, before it ends in the middle of that. The
/// database itself stays as it was. Whatever else would write one waits from then on, until the process has ended.
pub fn remove_unfinished() {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    // The lock, which was taken first, goes last.
    for path in unfinished.drain(..).rev() {
        drop(fs::remove_file(path));
    }
    std::mem::forget(unfinished);
}
