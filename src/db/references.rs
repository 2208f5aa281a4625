//! The tables of a snapshot that need no figures, in a file of their own beside the new database.
//!
//! SQLite has one writer a file. A second file lets a second thread write half of the rows while the
//! first one writes the other half; copying whole tables of the same form costs a tenth of that.

use std::fs;
use std::io;
use std::path::PathBuf;

use rusqlite::Connection;

use super::load::load_references;
use super::publish::{NEW_FILE_PRAGMAS, WriteLock, beside, forget_unfinished, note_unfinished};
use super::{DatabaseError, migrate};
use crate::scan::Catalog;

/// The tables of references, to be taken into a new database. Dropped, its file is removed.
#[must_use]
pub struct References<'a> {
    lock: &'a WriteLock,
    path: PathBuf,
}

impl<'a> References<'a> {
    /// Writes the tables. Errors name the database, not the file that only helps to make it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn load(lock: &'a WriteLock, graph: &Catalog) -> Result<Self, DatabaseError> {
        let path = beside(lock.database(), ".references")?;
        match fs::remove_file(&path) {
            // A killed scan left it; nothing else writes while the lock is held.
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(DatabaseError::Write { path, source });
            }
            _ => {}
        }
        note_unfinished(&path);
        let references = Self { lock, path };
        let on_sqlite = |source| DatabaseError::from_sqlite_write(lock.database(), source);
        let mut connection = Connection::open(&references.path).map_err(on_sqlite)?;
        connection.execute_batch(NEW_FILE_PRAGMAS).map_err(on_sqlite)?;
        migrate::create_tables(&mut connection)
            .map_err(|error| DatabaseError::from_migration(lock.database(), error))?;
        let load = || {
            let transaction = connection.unchecked_transaction()?;
            load_references(&transaction, graph)?;
            transaction.commit()
        };
        load().map_err(on_sqlite)?;
        connection.close().map_err(|(_, source)| on_sqlite(source))?;
        Ok(references)
    }

    /// Copies the tables into a new database, in which they are empty.
    pub(super) fn take_into(self, connection: &Connection) -> Result<(), DatabaseError> {
        let take = || {
            let path = self.path.as_os_str().as_encoded_bytes();
            // A path need not be text, and SQLite takes it as bytes.
            connection.execute("ATTACH CAST(?1 AS TEXT) AS side", [path])?;
            connection.execute_batch("BEGIN")?;
            connection.execute_batch(include_str!("sql/take_references.sql"))?;
            connection.execute_batch("COMMIT; DETACH side")
        };
        take().map_err(|source| DatabaseError::from_sqlite_write(self.lock.database(), source))
    }
}

impl Drop for References<'_> {
    fn drop(&mut self) {
        forget_unfinished(&self.path);
        drop(fs::remove_file(&self.path));
    }
}
