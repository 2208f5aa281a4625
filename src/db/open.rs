//! Opening a snapshot, and saying clearly why one cannot be opened.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::migrate;
use crate::model::Severity;
use crate::model::authority::Configured;

/// Why a database file cannot be used. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such file.
    #[error("no database at `{}`", .0.display())]
    Missing(PathBuf),
    /// It is a file, but not one of regsql's.
    #[error("`{}` is not a regsql database", .0.display())]
    Foreign(PathBuf),
    /// It was made by a newer regsql.
    #[error("`{}` was made by a newer regsql (schema {found}, this one knows {known})", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: usize,
    },
    /// Another process holds a lock on it.
    #[error("`{}` is locked by another process", .0.display())]
    Locked(PathBuf),
    /// A killed writer left it in the middle of a change, and this user may not finish or undo that.
    #[error("a killed process left `{}` half written", .0.display())]
    HalfWritten(PathBuf),
    /// Another scan is writing it.
    #[error("another scan is writing `{}`", .0.display())]
    Scanning(PathBuf),
    /// It could not be written.
    #[error("cannot write database `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk that it lies on is full.
    #[error("cannot write database `{}`: its disk is full", .0.display())]
    Full(PathBuf),
    /// It could not be brought to this program's version.
    #[error("cannot upgrade database `{}` to this version's schema", .path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its rows do not fit together.
    #[error("database `{}` is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: super::ReadGraphError,
    },
    /// SQLite failed.
    #[error("cannot read database `{}`", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl DatabaseError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => {
                Some("make one with `regsql scan STORAGE`, or name it with --db".into())
            }
            Self::Foreign(_) => {
                Some("name another file with --db; regsql writes only to its own".into())
            }
            Self::Newer { .. } => {
                Some("use the newer regsql, or scan into another file with --db".into())
            }
            Self::Locked(_) => {
                Some("wait for the other process, or scan into another file with --db".into())
            }
            Self::HalfWritten(_) => {
                Some("run regsql once as the user who owns the file: that puts it right".into())
            }
            Self::Scanning(_) => {
                Some("wait for the other scan, or scan into another file with --db".into())
            }
            Self::Write { .. } => Some("name a file in a writable directory with --db".into()),
            Self::Full(_) => {
                Some("the old database is untouched; name a file on another disk with --db".into())
            }
            Self::Migrate { .. } => Some("make the file writable once, or scan again".into()),
            Self::Damaged { .. } | Self::Sqlite { .. } => {
                Some("`regsql scan --full` replaces a damaged database".into())
            }
        }
    }

    /// Whether the file's bytes are wrong. A scan makes it anew if it is one of regsql's.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite { source, .. } => is_damage(source),
            Self::Migrate { source, .. } => {
                use rusqlite_migration::Error::RusqliteError;
                let from_migration = source.downcast_ref().is_none_or(|error| match error {
                    RusqliteError { err, .. } => is_damage(err),
                    _ => true,
                });
                from_migration && source.downcast_ref().is_none_or(is_damage)
            }
            _ => false,
        }
    }

    /// Of the tables of a file that is being made.
    pub(super) fn from_migration(path: &Path, error: rusqlite_migration::Error) -> Self {
        match error {
            rusqlite_migration::Error::RusqliteError { err, .. } => {
                Self::from_sqlite_write(path, err)
            }
            other => Self::Migrate { path: path.to_owned(), source: Box::new(other) },
        }
    }

    /// As [`Self::from_sqlite`], for a file that is being written.
    pub(crate) fn from_sqlite_write(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(path.to_owned()),
            // SQLite reports a quota or file size limit as a failed write.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                Self::Write { path: path.to_owned(), source: std::io::Error::other(source) }
            }
            _ => Self::from_sqlite(path, source),
        }
    }

    pub(crate) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match source.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) if is_half_written(&source) => {
                Self::HalfWritten(path.to_owned())
            }
            Some(ErrorCode::NotADatabase) => Self::Foreign(path.to_owned()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Locked(path.to_owned())
            }
            _ => Self::Sqlite { path: path.to_owned(), source },
        }
    }
}

fn is_half_written(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// Whether an error means that the file's bytes are wrong, not that they cannot be had just now.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        // "No such table", a broken schema, a value where another belongs.
        Some(code) => matches!(
            code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
        ),
        None => true,
    }
}

/// Opens the snapshot at `path` for reading; one made by an older regsql is migrated first.
pub fn open_for_reading(path: &Path) -> Result<Connection, DatabaseError> {
    let on_error = |source| DatabaseError::from_sqlite(path, source);
    if !super::stamp::is_there(path) {
        return Err(DatabaseError::Missing(path.to_owned()));
    }
    // SQLite would call reading a directory an error of the disk.
    if path.is_dir() {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    let (connection, is_current) = match open_read_only(path) {
        Err(DatabaseError::HalfWritten(_)) => {
            roll_back(path)?;
            open_read_only(path)?
        }
        opened => opened?,
    };
    if is_current {
        return Ok(connection);
    }
    drop(connection);
    let mut writable = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(on_error)?;
    let migrated = migrate::create_tables(&mut writable)
        .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        .and_then(|()| {
            Ok(migrate::create_indices(&writable).and_then(|()| migrate::apply_views(&writable))?)
        });
    migrated.map_err(|source| DatabaseError::Migrate { path: path.to_owned(), source })?;
    drop(writable);
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(on_error)
}

/// The file, and whether it is of this version.
fn open_read_only(path: &Path) -> Result<(Connection, bool), DatabaseError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| DatabaseError::from_sqlite(path, source))?;
    let is_current = version_is_current(&connection, path)?;
    Ok((connection, is_current))
}

/// Undoes what a killed writer began. Whoever may write the file does so by reading it.
fn roll_back(path: &Path) -> Result<(), DatabaseError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| connection.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())))
        .map_err(|source| DatabaseError::from_sqlite(path, source))
}

/// Opens the snapshot at `path` for a transaction of one's own. Take the write lock first.
pub(crate) fn open_for_writing(path: &Path) -> Result<Connection, DatabaseError> {
    // Recognises files that are not this program's, and migrates an older one.
    drop(open_for_reading(path)?);
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|source| DatabaseError::from_sqlite_write(path, source))
}

/// A figure about the whole storage, by its name in the `totals` view.
pub fn total(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT value FROM totals WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// Sets figures of the snapshot at `path` that are no part of the registry.
///
/// # Errors
/// When the file cannot be written.
pub fn set_totals(path: &Path, figures: &[(&str, i64)]) -> Result<(), DatabaseError> {
    let lock = super::WriteLock::take(path)?;
    let connection = open_for_writing(path)?;
    let on_error = |source| DatabaseError::from_sqlite_write(path, source);
    for figure in figures {
        let sql = "INSERT OR REPLACE INTO total VALUES (?1, ?2)";
        connection.execute(sql, *figure).map_err(on_error)?;
    }
    drop(lock);
    Ok(())
}

/// The root directory that was scanned, as text (`model::bytes_of`); `None` before the first scan.
pub fn scanned_root(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT root FROM scan", [], |row| row.get(0)).optional()
}

/// What a configuration said that was given at some scan; `None` where it said nothing.
pub fn configured(connection: &Connection) -> rusqlite::Result<Option<Configured>> {
    let url = connection.query_row("SELECT proxy_url FROM storage", [], |row| row.get(0));
    let mut evidence = super::authority::evidence(connection)?;
    evidence.retain(|evidence| evidence.code.is_of_configuration());
    let found = Configured { proxied_url: url.optional()?.flatten(), evidence };
    Ok((found != Configured::default()).then_some(found))
}

/// How many problems the snapshot has: infos, warnings, errors.
pub fn findings_by_severity(database: &Path) -> Result<[u64; 3], DatabaseError> {
    let connection = open_for_reading(database)?;
    let count = |severity: Severity| {
        let sql = "SELECT count(*) FROM problem WHERE severity = ?1";
        connection.query_row(sql, [severity.as_str()], |row| row.get::<_, i64>(0))
    };
    let counts = || -> rusqlite::Result<[u64; 3]> {
        Ok([
            count(Severity::Info)? as u64,
            count(Severity::Warning)? as u64,
            count(Severity::Error)? as u64,
        ])
    };
    counts().map_err(|source| DatabaseError::from_sqlite(database, source))
}

/// How much of the storage could not be read, why, and what helps: the first line of a scan.
pub fn unreadable_text(database: &Path) -> Result<Option<String>, DatabaseError> {
    let connection = open_for_reading(database)?;
    let sql = "SELECT place_count, what, reason, advice FROM unreadable_place";
    let row = connection.query_row(sql, [], |row| {
        let reason: Option<String> = row.get(2)?;
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let (count, what) = (row.get::<_, i64>(0)?, row.get::<_, String>(1)?);
        Ok(format!("{count} {what}{reason}: {}", row.get::<_, String>(3)?))
    });
    row.optional().map_err(|source| DatabaseError::from_sqlite(database, source))
}

fn open(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// `true` when the file is of this version, `false` when it is older; an error otherwise.
fn version_is_current(connection: &Connection, path: &Path) -> Result<bool, DatabaseError> {
    let on_error = |source| DatabaseError::from_sqlite(path, source);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id").map_err(on_error)? != i64::from(migrate::APPLICATION_ID) {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    let found = pragma("user_version").map_err(on_error)?;
    let known = migrate::SCHEMA_VERSION;
    if found > known as i64 {
        return Err(DatabaseError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found == known as i64 && migrate::views_are_current(connection).map_err(on_error)?)
}
