//! Putting a snapshot in the place of the last one.
//!
//! The new file is written beside the old one under another name, synced, and renamed over it: a
//! reader sees the old snapshot or the new one, a killed scan leaves the old one. Journals are off
//! only for that new file, which is thrown away on any error. A scan that finds nothing changed
//! updates the old file in one ordinary transaction.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::load::{ScanRecord, Snapshot, Totals, load};
use super::{DatabaseError, migrate};

/// One writer at a time for one database.
#[must_use]
#[derive(Debug)]
pub struct WriteLock {
    path: PathBuf,
    database: PathBuf,
    _file: File,
}

impl WriteLock {
    /// Takes the lock beside `database`.
    ///
    /// # Errors
    /// [`DatabaseError::Scanning`] when another scan holds it.
    pub fn take(database: &Path) -> Result<Self, DatabaseError> {
        let path = beside(database, ".lock")?;
        let error = |source| DatabaseError::Write {
            path: path.clone(),
            source,
        };
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(error)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(DatabaseError::Scanning(database.to_owned()));
                }
                Err(fs::TryLockError::Error(source)) => return Err(error(source)),
            }
            // The last holder may have removed the file between opening and locking it.
            if is_same_file(&file, &path) {
                return Ok(Self {
                    path,
                    database: database.to_owned(),
                    _file: file,
                });
            }
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Removed while still locked; whoever waits for it looks again. A leftover does no harm.
        drop(fs::remove_file(&self.path));
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
fn beside(database: &Path, suffix: &str) -> Result<PathBuf, DatabaseError> {
    let name = database.file_name().ok_or_else(|| DatabaseError::Write {
        path: database.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "it names no file"),
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(suffix);
    Ok(database.with_file_name(hidden))
}

/// What the last scan left.
#[derive(Clone, Debug)]
pub struct PreviousScan {
    /// Hash over all names, sizes and times it saw.
    pub fingerprint: Vec<u8>,
    /// The storage it scanned.
    pub root: String,
    /// The regsql that made it.
    pub tool_version: String,
    /// Everything could be read.
    pub is_complete: bool,
}

/// Reads what the last scan left; `None` when there is no database yet.
///
/// # Errors
/// When there is a file and it is not one that this program may replace.
pub fn previous_scan(database: &Path) -> Result<Option<PreviousScan>, DatabaseError> {
    if !database.exists() {
        return Ok(None);
    }
    let connection = super::open_for_reading(database)?;
    let sql = "SELECT fingerprint, root, tool_version, is_complete FROM scan";
    let scan = connection.query_row(sql, [], |row| {
        Ok(PreviousScan {
            fingerprint: row.get(0)?,
            root: row.get(1)?,
            tool_version: row.get(2)?,
            is_complete: row.get(3)?,
        })
    });
    match scan {
        Ok(scan) => Ok(Some(scan)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(source) => Err(DatabaseError::from_sqlite(database, source)),
    }
}

/// Writes the snapshot and puts it in the place of the database.
pub fn publish(lock: &WriteLock, snapshot: &Snapshot<'_>) -> Result<Totals, DatabaseError> {
    let database = &lock.database;
    let new = beside(database, ".new")?;
    let result = write_new(database, &new, snapshot);
    if result.is_err() {
        drop(fs::remove_file(&new));
    }
    result
}

fn write_new(
    database: &Path,
    new: &Path,
    snapshot: &Snapshot<'_>,
) -> Result<Totals, DatabaseError> {
    let on_io = |source| DatabaseError::Write {
        path: new.to_owned(),
        source,
    };
    let on_sqlite = |source| DatabaseError::from_sqlite_write(new, source);
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(on_io(error)),
        _ => {}
    }
    let mut connection = Connection::open(new).map_err(on_sqlite)?;
    connection
        .execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;",
        )
        .map_err(on_sqlite)?;
    migrate::create_tables(&mut connection).map_err(|source| DatabaseError::Migrate {
        path: new.to_owned(),
        source: Box::new(source),
    })?;
    if database.exists() {
        copy_history(&connection, database)?;
    }
    let fill = || -> rusqlite::Result<Totals> {
        let transaction = connection.unchecked_transaction()?;
        let totals = load(&transaction, snapshot)?;
        record_scan(
            &transaction,
            &snapshot.scan,
            snapshot.graph.is_pull_through,
            &totals,
        )?;
        record_repositories(&transaction)?;
        transaction.commit()?;
        migrate::create_indices(&connection)?;
        migrate::apply_views(&connection)?;
        connection.execute_batch("PRAGMA analysis_limit = 1000; ANALYZE;")?;
        Ok(totals)
    };
    let totals = fill().map_err(on_sqlite)?;
    connection
        .close()
        .map_err(|(_, source)| on_sqlite(source))?;
    File::open(new)
        .and_then(|file| file.sync_all())
        .map_err(on_io)?;
    fs::rename(new, database).map_err(|source| DatabaseError::Write {
        path: database.to_owned(),
        source,
    })?;
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(on_io)?;
    Ok(totals)
}

/// History is all that a snapshot takes over from the last one. Opening the old file for writing
/// also rolls back what a killed process may have left in its journal, which must not be found
/// beside the new file.
fn copy_history(connection: &Connection, database: &Path) -> Result<(), DatabaseError> {
    let on_sqlite = |source| DatabaseError::from_sqlite(database, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let old = Connection::open_with_flags(database, flags).map_err(on_sqlite)?;
    old.busy_timeout(std::time::Duration::from_secs(5))
        .map_err(on_sqlite)?;
    for (table, columns) in [("past_scan", 17), ("past_repository", 9)] {
        let mut select = old
            .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))
            .map_err(on_sqlite)?;
        let marks = vec!["?"; columns].join(", ");
        let insert = format!("INSERT INTO {table} VALUES ({marks})");
        let mut insert = connection.prepare(&insert).map_err(on_sqlite)?;
        let mut rows = select.query([]).map_err(on_sqlite)?;
        while let Some(row) = rows.next().map_err(on_sqlite)? {
            for column in 0..columns {
                let value: rusqlite::types::Value = row.get(column).map_err(on_sqlite)?;
                insert
                    .raw_bind_parameter(column + 1, value)
                    .map_err(on_sqlite)?;
            }
            insert.raw_execute().map_err(on_sqlite)?;
        }
    }
    Ok(())
}

/// Marks the snapshot in the database as that of a scan which found nothing changed.
pub fn publish_unchanged(lock: &WriteLock, scan: &ScanRecord) -> Result<Totals, DatabaseError> {
    let database = &lock.database;
    let on_sqlite = |source| DatabaseError::from_sqlite_write(database, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut connection = Connection::open_with_flags(database, flags).map_err(on_sqlite)?;
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(on_sqlite)?;
    let mut update = || -> rusqlite::Result<Totals> {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let totals = read_totals(&transaction)?;
        let is_pull_through =
            transaction.query_row("SELECT is_pull_through FROM scan", [], |row| row.get(0))?;
        transaction.execute("DELETE FROM scan", [])?;
        record_scan(&transaction, scan, is_pull_through, &totals)?;
        record_repositories(&transaction)?;
        transaction.commit()?;
        Ok(totals)
    };
    update().map_err(on_sqlite)
}

fn read_totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let mut totals = Totals::new();
    let mut select = connection.prepare("SELECT name, value FROM total")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        // Names come from this program; one more leak a run is a few bytes.
        totals.insert(String::leak(name), row.get(1)?);
    }
    Ok(totals)
}

fn record_scan(
    connection: &Connection,
    scan: &ScanRecord,
    is_pull_through: bool,
    totals: &Totals,
) -> rusqlite::Result<()> {
    let next = "SELECT COALESCE(MAX(scan_number), 0) + 1 FROM past_scan";
    let number: i64 = connection.query_row(next, [], |row| row.get(0))?;
    let version = env!("CARGO_PKG_VERSION");
    connection.execute(
        "INSERT INTO scan VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            number,
            scan.root,
            scan.started_ns,
            scan.finished_ns,
            scan.duration_ms,
            version,
            scan.is_complete,
            scan.fingerprint.as_slice(),
            is_pull_through,
        ],
    )?;
    let total = |name: &str| totals.get(name).copied().unwrap_or(0);
    connection.execute(
        "INSERT INTO past_scan VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            number,
            scan.root,
            scan.started_ns,
            scan.finished_ns,
            scan.duration_ms,
            version,
            scan.is_complete,
            total("blob_count"),
            total("blob_bytes"),
            total("repository_count"),
            total("tag_count"),
            total("revision_count"),
            total("untagged_revision_count"),
            total("orphan_blob_count"),
            total("orphan_bytes"),
            total("untagged_bytes"),
            total("problem_count"),
        ],
    )?;
    Ok(())
}

/// Stretches the history of repositories whose figures are those of the last scan, and begins a
/// new row for all others.
fn record_repositories(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("sql/record_repositories.sql"))
}
