//! Putting a snapshot in the place of the last one.
//!
//! The new file is written beside the old one under another name, synced, and renamed over it: a
//! reader sees the old snapshot or the new one, a killed scan leaves the old one. Journals are off
//! only for that new file, which is thrown away on any error. A scan that finds nothing changed
//! updates the old file in one ordinary transaction.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::ids::Ids;
use super::load::load_figures;
use super::lock::{Making, NEW_FILE_PRAGMAS, WriteLock, begin, beside, finish, open_existing};
use super::references::References;
use super::rows::{ScanRecord, Snapshot, Totals};
use super::table::Target;
use super::{DatabaseError, migrate, remembered};
use crate::model::authority::Configured;
use crate::scan::{Catalog, DiskUse, STALE_UPLOAD_NS};

/// What the last scan left.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
pub struct PreviousScan {
    /// Hash over all names, sizes and times it saw.
    pub fingerprint: Vec<u8>,
    /// The storage it scanned.
    pub root: String,
    /// The regsql that made it.
    pub tool_version: String,
    /// When it was published, in nanoseconds since 1970.
    pub finished_ns: i64,
    /// Everything could be read.
    pub is_complete: bool,
    /// What lies beside each blob and link was looked at, too.
    pub is_deep: bool,
    /// What a configuration said that was given once.
    pub configured: Option<Configured>,
    /// What had vanished in it was accepted since.
    pub is_vanished_accepted: bool,
    /// Hash over the roots and the authority.
    pub roots_fingerprint: Option<Vec<u8>>,
    /// When the inventory was made that it read instead of listing: names, sizes and times are of then.
    pub inventory_ns: Option<i64>,
    /// It filled all tables of this version.
    pub is_schema_current: bool,
    /// The last sign of life of the upload that is the next to become stale: it is a finding then,
    /// though nothing has changed on disk.
    pub next_stale_upload_ns: Option<i64>,
}

/// Reads what the last scan left; `None` when there is no database yet.
///
/// # Errors
/// When there is a file and it is not one that this program may replace, or a damaged one.
pub fn previous_scan(database: &Path) -> Result<Option<PreviousScan>, DatabaseError> {
    if !super::stamp::is_there(database) {
        return Ok(None);
    }
    let connection = super::open_for_reading(database)?;
    let sql = include_str!("sql/previous_scan.sql");
    let scan = connection.query_row(sql, [STALE_UPLOAD_NS], |row| {
        Ok(PreviousScan {
            fingerprint: row.get(0)?,
            root: row.get(1)?,
            tool_version: row.get(2)?,
            is_complete: row.get(3)?,
            is_deep: row.get(4)?,
            next_stale_upload_ns: row.get(5)?,
            finished_ns: row.get(6)?,
            configured: super::configured(&connection)?,
            is_vanished_accepted: row.get(7)?,
            roots_fingerprint: row.get(8)?,
            inventory_ns: row.get(9)?,
            is_schema_current: migrate::is_scan_current(&connection)?,
        })
    });
    match scan {
        Ok(scan) => Ok(Some(scan)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(source) => Err(DatabaseError::from_sqlite(database, source)),
    }
}

/// The same for a scan, which takes a damaged database of regsql's for none and makes it anew.
///
/// # Errors
/// When there is a file and it is not one that this program may replace.
pub fn previous_scan_if_whole(database: &Path) -> Result<Option<PreviousScan>, DatabaseError> {
    match previous_scan(database) {
        Err(error) if error.is_damage() && is_own(database) => Ok(None),
        Err(error) if error.is_damage() => Err(DatabaseError::Foreign(database.to_owned())),
        previous => previous,
    }
}

/// Whether a file, however damaged, begins as one of regsql's: SQLite's magic bytes and, at byte 68,
/// the application id (sqlite.org/fileformat2.html).
fn is_own(database: &Path) -> bool {
    let mut header = [0; 72];
    let read = File::open(database).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok()
        && header.starts_with(b"SQLite format 3\0")
        && header[68..] == migrate::APPLICATION_ID.to_be_bytes()
}

/// A thread that sends a file to the disk.
type Flush = JoinHandle<io::Result<()>>;

/// A file that is to take the place of the database. Dropped unpublished, it is removed.
pub struct NewDatabase<'a> {
    lock: &'a WriteLock,
    path: PathBuf,
    /// Taken when the file is published.
    connection: Option<Connection>,
    /// The file whose place it takes.
    old: Option<Connection>,
    making: Making,
    /// What SQLite called the state of the old file when it was copied.
    copied_version: i64,
    has_lost_history: bool,
}

impl Drop for NewDatabase<'_> {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            drop(finish(&self.path, || fs::remove_file(&self.path)));
        }
    }
}

impl<'a> NewDatabase<'a> {
    /// Makes the file, with the history of the old one. Errors name the database, not the file that
    /// only stands in for it.
    pub fn create(lock: &'a WriteLock) -> Result<Self, DatabaseError> {
        let database = lock.database();
        let path = beside(database, ".new")?;
        let on_sqlite = |source| DatabaseError::from_sqlite_write(database, source);
        begin(&path)?;
        let connection = Connection::open(&path).map_err(on_sqlite)?;
        let mut new = Self {
            lock,
            path,
            connection: Some(connection),
            old: None,
            making: Making::New,
            copied_version: 0,
            has_lost_history: false,
        };
        let connection = new.connection.as_mut().ok_or_else(|| published(database))?;
        connection.execute_batch(NEW_FILE_PRAGMAS).map_err(on_sqlite)?;
        migrate::create_tables(connection)
            .map_err(|error| DatabaseError::from_migration(database, error))?;
        if super::stamp::is_there(database) {
            match copy_history(connection, database) {
                Ok(old) => new.old = Some(old),
                Err(error) if error.is_damage() => {
                    // Half of a history shows growth that never was.
                    for table in [
                        "past_scan",
                        "past_repository",
                        "witness",
                        "seen_repository",
                        "own_deletion",
                        "pull",
                        "pull_coverage",
                        "pull_minute",
                    ] {
                        let clear = format!("DELETE FROM {table}");
                        connection.execute(&clear, []).map_err(on_sqlite)?;
                    }
                    new.has_lost_history = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(new)
    }

    /// Makes the file as a copy of the old one, in which [`Self::publish`] then writes what differs; `None` when a
    /// new one must be made. Only for a scan of the same storage by the same version.
    pub fn copy(lock: &'a WriteLock) -> Result<Option<Self>, DatabaseError> {
        let database = lock.database();
        let path = beside(database, ".new")?;
        begin(&path)?;
        // Nothing else writes the file while it is read in a transaction, and a journal that a killed process left is
        // rolled back: a copy would lack it. The file that was copied is closed then, and with it goes the lock of the
        // transaction; whether somebody wrote meanwhile is asked at the end.
        let copy = || -> rusqlite::Result<Option<(Connection, Connection, i64)>> {
            let old = open_existing(database)?;
            old.execute_batch("BEGIN")?;
            let copied_version = version(&old)?;
            if !is_fit(&old)? || fs::copy(database, &path).is_err() {
                return Ok(None);
            }
            old.execute_batch("COMMIT")?;
            let connection = open_existing(&path)?;
            connection.execute_batch(NEW_FILE_PRAGMAS)?;
            connection.execute_batch(include_str!("sql/clear_copy.sql"))?;
            Ok(Some((connection, old, copied_version)))
        };
        let Ok(Some((connection, old, copied_version))) = copy() else {
            drop(finish(&path, || fs::remove_file(&path)));
            return Ok(None);
        };
        Ok(Some(Self {
            lock,
            path,
            connection: Some(connection),
            old: Some(old),
            making: Making::Copy,
            copied_version,
            has_lost_history: false,
        }))
    }

    /// What it begins as.
    pub fn making(&self) -> Making {
        self.making
    }

    /// Ids for the rows of a snapshot.
    ///
    /// # Errors
    /// When the old file cannot be read.
    pub fn ids<'c>(&self, catalog: &'c Catalog) -> Result<Ids<'c>, DatabaseError> {
        match self.old.as_ref().filter(|_| self.making == Making::Copy) {
            None => Ok(Ids::new(catalog)),
            Some(old) => Ids::beside(catalog, old)
                .map_err(|source| DatabaseError::from_sqlite(self.lock.database(), source)),
        }
    }

    /// The file whose place it takes is too damaged to take its history over.
    pub fn has_lost_history(&self) -> bool {
        self.has_lost_history
    }

    /// Writes a section of what the next scan need not read again.
    pub fn remember(
        &self,
        section: u8,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DatabaseError> {
        self.in_transaction(|connection| remembered::write(connection, section, fill))
    }

    /// Writes everything else, takes the references that another thread wrote meanwhile, and puts the
    /// file in the place of the database.
    pub fn publish<'r>(
        mut self,
        snapshot: &Snapshot<'_>,
        references: impl FnOnce() -> Result<References<'r>, DatabaseError>,
    ) -> Result<Totals, DatabaseError> {
        let remembered = self.flush();
        let loaded = self.load(snapshot);
        // The other thread has ended also when this one failed: another file may take the name of its one.
        let references = references()?;
        let (totals, figures) = loaded?;
        let database = self.lock.database();
        let on_sqlite = |source| DatabaseError::from_sqlite_write(database, source);
        let connection = self.connection.as_ref().ok_or_else(|| published(database))?;
        references.take_into(connection)?;
        self.refuse_changed_old()?;
        let finish = || {
            migrate::apply_views(connection)?;
            super::content::mark_broken_tags(connection)?;
            connection.execute_batch(include_str!("sql/mark_unknown.sql"))?;
            connection.execute_batch("PRAGMA analysis_limit = 1000; ANALYZE;")
        };
        finish().map_err(on_sqlite)?;
        // What the disk refused is said once, to whoever asked first.
        for flush in [remembered, figures].into_iter().flatten() {
            let flushed = flush.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            flushed.map_err(|source| DatabaseError::Write { path: database.to_owned(), source })?;
        }
        self.old = None;
        self.rename()?;
        Ok(totals)
    }

    /// Rows were compared with those of the old file: they must be those of the copy.
    fn refuse_changed_old(&self) -> Result<(), DatabaseError> {
        let Some(old) = self.old.as_ref().filter(|_| self.making == Making::Copy) else {
            return Ok(());
        };
        let now = version(old).and_then(|now| {
            if now == self.copied_version {
                Ok(())
            } else {
                Err(rusqlite::Error::InvalidParameterName("it changed".into()))
            }
        });
        now.map_err(|source| DatabaseError::from_sqlite(self.lock.database(), source))
    }

    /// Writes all but the references, and the indices.
    fn load(&self, snapshot: &Snapshot<'_>) -> Result<(Totals, Option<Flush>), DatabaseError> {
        let totals = self.in_transaction(|connection| {
            forget_pulls_of_another(connection, self.old.as_ref(), &snapshot.scan.root)?;
            let old = self.old.as_ref();
            let target = Target { connection, old: old.filter(|_| self.making == Making::Copy) };
            let totals = load_figures(target, snapshot, old)?;
            migrate::record_scan_schema(connection)?;
            record_scan(connection, &snapshot.scan, snapshot.graph.is_pull_through, &totals)?;
            record_repositories(connection)?;
            super::witness::record(connection)?;
            Ok(totals)
        })?;
        let figures = self.flush();
        let database = self.lock.database();
        let connection = self.connection.as_ref().ok_or_else(|| published(database))?;
        // No index but the one of aliases is about what the other thread may still be writing.
        migrate::create_indices(connection)
            .map_err(|source| DatabaseError::from_sqlite_write(database, source))?;
        Ok((totals, figures))
    }

    /// Sends what is written to the disk while more is worked out. `None` when no thread can be had: all is
    /// synced at the end.
    fn flush(&self) -> Option<Flush> {
        let path = self.path.clone();
        let sync = move || File::open(path)?.sync_data();
        thread::Builder::new().name("regsql-flush".into()).spawn(sync).ok()
    }

    fn rename(&mut self) -> Result<(), DatabaseError> {
        let database = self.lock.database();
        let connection = self.connection.take().ok_or_else(|| published(self.lock.database()))?;
        if let Err((connection, source)) = connection.close() {
            // Kept open, so that dropping removes the file.
            self.connection = Some(connection);
            return Err(DatabaseError::from_sqlite_write(self.lock.database(), source));
        }
        // Those of a file that is damaged or gone would be taken for the new file's, and change it.
        let journals = ["-journal", "-wal", "-shm"].map(|suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            path
        });
        keep_access(&self.path, database);
        let renamed = File::open(&self.path).and_then(|file| file.sync_all());
        let renamed = finish(&self.path, || {
            for journal in journals {
                drop(fs::remove_file(journal));
            }
            renamed.and_then(|()| fs::rename(&self.path, database)).inspect_err(|_| {
                drop(fs::remove_file(&self.path));
            })
        });
        renamed
            .and_then(|()| File::open(directory_of(database))?.sync_all())
            .map_err(|source| DatabaseError::Write { path: database.to_owned(), source })
    }

    /// Runs statements in a transaction while the file whose place it takes is attached as `before`.
    pub(super) fn with_old(&self, sql: &str) -> Result<(), DatabaseError> {
        let database = self.lock.database();
        let connection = self.connection.as_ref().ok_or_else(|| published(database))?;
        let run = || {
            let path = database.as_os_str().as_encoded_bytes();
            connection.execute("ATTACH CAST(?1 AS TEXT) AS before", [path])?;
            connection.execute_batch("BEGIN")?;
            connection.execute_batch(sql)?;
            connection.execute_batch("COMMIT; DETACH before")
        };
        run().map_err(|source| DatabaseError::from_sqlite_write(database, source))
    }

    pub(super) fn in_transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let connection = self.connection.as_ref().ok_or_else(|| published(self.lock.database()))?;
        let run = || {
            let transaction = connection.unchecked_transaction()?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|source| DatabaseError::from_sqlite_write(self.lock.database(), source))
    }
}

/// Whether a copy of the file has all that is in it, the tables, indices and views of a new one, and few pages that are
/// not in use.
fn is_fit(old: &Connection) -> rusqlite::Result<bool> {
    let count = |pragma: &str| old.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let journal: String = old.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(journal != "wal"
        && migrate::is_form_current(old)?
        && count("freelist_count")? * 8 <= count("page_count")?)
}

/// Another one when another connection has written the file.
fn version(old: &Connection) -> rusqlite::Result<i64> {
    old.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Gives a new file the owner and mode of the one that it replaces: a scan by root must not lock out
/// whoever scans or serves otherwise. Where that is not allowed the file is its maker's, as a new one is.
fn keep_access(new: &Path, old: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if let Ok(facts) = fs::metadata(old) {
        drop(chown(new, Some(facts.uid()), Some(facts.gid())));
        drop(fs::set_permissions(new, facts.permissions()));
    }
}

/// Pulls are known for the storage whose logs were read, and for no other.
fn forget_pulls_of_another(
    connection: &Connection,
    old: Option<&Connection>,
    root: &str,
) -> rusqlite::Result<()> {
    let Some(old) = old else {
        return Ok(());
    };
    let known: Option<String> =
        old.query_row("SELECT root FROM scan", [], |row| row.get(0)).optional()?;
    if known.is_some_and(|known| known != root) {
        let forget = "DELETE FROM pull; DELETE FROM pull_coverage; DELETE FROM pull_minute;";
        connection.execute_batch(forget)?;
    }
    Ok(())
}

fn published(path: &Path) -> DatabaseError {
    let source = io::Error::other("the file was published already");
    DatabaseError::Write { path: path.to_owned(), source }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// History, and when contents were verified, is all that a snapshot takes over from the last one.
/// Opening the old file for writing also rolls back what a killed process may have left in its
/// journal, which must not be found beside the new file. It is returned open, for the times of
/// verification.
fn copy_history(connection: &Connection, database: &Path) -> Result<Connection, DatabaseError> {
    let on_sqlite = |source| DatabaseError::from_sqlite(database, source);
    let old = open_existing(database).map_err(on_sqlite)?;
    for (table, columns) in [
        ("past_scan", 17),
        ("past_repository", 9),
        ("witness", 2),
        ("seen_repository", 4),
        ("own_deletion", 4),
        ("pull", 6),
        ("pull_coverage", 2),
        ("pull_minute", 2),
    ] {
        let exists = old.table_exists(None, table).map_err(on_sqlite)?;
        if !exists {
            // The file of an older version.
            continue;
        }
        let mut select =
            old.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).map_err(on_sqlite)?;
        let marks = vec!["?"; columns].join(", ");
        let insert = format!("INSERT INTO {table} VALUES ({marks})");
        let mut insert = connection.prepare(&insert).map_err(on_sqlite)?;
        let mut rows = select.query([]).map_err(on_sqlite)?;
        while let Some(row) = rows.next().map_err(on_sqlite)? {
            for column in 0..columns {
                let value: rusqlite::types::Value = row.get(column).map_err(on_sqlite)?;
                insert.raw_bind_parameter(column + 1, value).map_err(on_sqlite)?;
            }
            insert.raw_execute().map_err(on_sqlite)?;
        }
    }
    Ok(old)
}

/// Marks the snapshot in the database as that of a scan which found nothing changed.
/// The next scan finds `parts` remembered, if there are any.
pub fn publish_unchanged(
    lock: &WriteLock,
    scan: &ScanRecord,
    parts: Option<&[u8]>,
) -> Result<Totals, DatabaseError> {
    let database = lock.database();
    let on_sqlite = |source| DatabaseError::from_sqlite_write(database, source);
    let mut connection = open_existing(database).map_err(on_sqlite)?;
    let mut update = || -> rusqlite::Result<Totals> {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let totals = read_totals(&transaction)?;
        let is_pull_through =
            transaction.query_row("SELECT is_pull_through FROM scan", [], |row| row.get(0))?;
        transaction.execute("DELETE FROM scan", [])?;
        record_scan(&transaction, scan, is_pull_through, &totals)?;
        record_repositories(&transaction)?;
        super::witness::record(&transaction)?;
        if let Some(parts) = parts {
            remembered::write(&transaction, 0, &mut |out| out.write_all(parts))?;
        }
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
        totals.insert(Cow::Owned(row.get(0)?), row.get(1)?);
    }
    Ok(totals)
}

fn record_scan(
    connection: &Connection,
    scan: &ScanRecord,
    is_pull_through: bool,
    totals: &Totals,
) -> rusqlite::Result<()> {
    for (name, value) in &scan.other_totals {
        let put =
            "INSERT INTO total VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        connection.execute(put, params![name, value])?;
    }
    let next = "SELECT COALESCE(MAX(scan_number), 0) + 1 FROM past_scan";
    let number: i64 = connection.query_row(next, [], |row| row.get(0))?;
    let version = env!("CARGO_PKG_VERSION");
    connection.execute(
        "INSERT INTO scan VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            number,
            scan.root,
            scan.started_ns,
            scan.finished_ns,
            scan.duration_ms,
            version,
            scan.is_complete,
            scan.fingerprint.as_slice(),
            scan.is_deep,
            is_pull_through,
        ],
    )?;
    let bucket = &scan.bucket;
    connection.execute(
        include_str!("sql/record_storage.sql"),
        params![
            scan.proxy_url,
            scan.disk.map(|disk| disk.size_bytes),
            scan.disk.map(|disk| disk.used_bytes),
            scan.disk.map(|disk| disk.free_bytes),
            scan.max_vanished_percent,
            bucket.noncurrent.map(|noncurrent| noncurrent.version_count),
            bucket.noncurrent.map(|noncurrent| noncurrent.version_bytes),
            bucket.noncurrent.map(|noncurrent| noncurrent.delete_marker_count),
            bucket.multipart_uploads.map(|uploads| uploads.0),
            bucket.multipart_uploads.map(|uploads| uploads.1),
            bucket.inventory.as_ref().map(|inventory| &inventory.address),
            bucket.inventory.as_ref().map(|inventory| inventory.made_ns),
        ],
    )?;
    record_disk_use(connection, scan.disk_use.as_ref())?;
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

/// What the storage takes of its disk, by what it is.
fn record_disk_use(connection: &Connection, found: Option<&DiskUse>) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM used_space", [])?;
    let Some(found) = found else { return Ok(()) };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut insert =
        connection.prepare("INSERT INTO used_space VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (what, usage) in found.files() {
        insert.execute(params![
            what,
            bytes(usage.file_count),
            bytes(usage.size_bytes),
            bytes(usage.disk_bytes),
            bytes(usage.hard_linked_bytes),
            !found.is_at_least,
        ])?;
    }
    let count = bytes(found.directory_count);
    let size: Option<i64> = None;
    let disk_bytes = bytes(found.directory_bytes);
    insert.execute(params!["directories", count, size, disk_bytes, 0, !found.is_at_least])?;
    Ok(())
}

/// Stretches the history of repositories whose figures are those of the last scan, and begins a
/// new row for all others.
fn record_repositories(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("sql/record_repositories.sql"))
}
