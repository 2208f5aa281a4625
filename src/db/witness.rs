//! The scan that a new one is compared with: what was there then and is not there now vanished,
//! unless a deletion of regsql's own took it or a person accepts it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::open::open_for_writing;
use super::{DatabaseError, WriteLock, open_for_reading, stamp};

/// What a repository had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryThen {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tag_count: u64,
    /// Manifests linked in it.
    pub revision_count: u64,
}

/// What a scan saw that is taken for right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// When it ended, in nanoseconds since 1970.
    pub finished_ns: i64,
    /// Its repositories but those from which regsql has deleted since.
    pub repositories: Vec<RepositoryThen>,
    /// More percent of all tags missing than this has vanished, as last set.
    pub max_vanished_percent: Option<u8>,
}

/// The last scan of the storage at `root` that is taken for right, of the database at `path`.
pub fn witness(path: &Path, root: &str) -> Result<Option<Witness>, DatabaseError> {
    if !stamp::is_there(path) {
        return Ok(None);
    }
    let connection = open_for_reading(path)?;
    read(&connection, root).map_err(|source| DatabaseError::from_sqlite(path, source))
}

fn read(connection: &Connection, root: &str) -> rusqlite::Result<Option<Witness>> {
    let sql = include_str!("sql/last_witness.sql");
    let found: Option<(i64, i64)> =
        connection.query_row(sql, [root], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((number, finished_ns)) = found else { return Ok(None) };
    let mut select = connection.prepare(include_str!("sql/repositories_then.sql"))?;
    let mut rows = select.query([number])?;
    let mut repositories = Vec::new();
    while let Some(row) = rows.next()? {
        let [tag_count, revision_count] =
            [row.get::<_, i64>(1)?, row.get::<_, i64>(2)?].map(|count| count.max(0) as u64);
        repositories.push(RepositoryThen { name: row.get(0)?, tag_count, revision_count });
    }
    let percent: Option<i64> = connection
        .query_row("SELECT max_vanished_percent FROM storage", [], |row| row.get(0))
        .optional()?
        .flatten();
    let max_vanished_percent = percent.and_then(|percent| u8::try_from(percent).ok());
    Ok(Some(Witness { finished_ns, repositories, max_vanished_percent }))
}

/// Makes the scan that is in the database a witness, if it is whole and nothing has vanished in it.
pub(super) fn record(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("sql/record_witness.sql"))
}

/// One thing that vanished, and that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// Where it was, below the registry's root.
    pub path: String,
    /// What it was, in words.
    pub detail: String,
}

/// What vanished since the last scan that is taken for right; empty when that was accepted.
pub fn vanished(connection: &Connection) -> rusqlite::Result<Vec<Vanished>> {
    let mut select = connection.prepare(include_str!("sql/vanished.sql"))?;
    let rows =
        select.query_map([], |row| Ok(Vanished { path: row.get(0)?, detail: row.get(1)? }))?;
    rows.collect()
}

/// Takes the scan that is in the database for right, whatever vanished in it.
pub fn accept_vanished(path: &Path) -> Result<(), DatabaseError> {
    change(path, |connection| {
        let sql = "INSERT OR IGNORE INTO witness SELECT scan_number, 'accepted' FROM scan";
        connection.execute(sql, []).map(|_| ())
    })
}

/// Records that a deletion of regsql's own takes something from these repositories, from `now_ns` on,
/// in nanoseconds since 1970.
pub fn begin_own_removal<'a>(
    path: &Path,
    repositories: impl Iterator<Item = &'a str>,
    now_ns: i64,
) -> Result<(), DatabaseError> {
    change(path, |connection| {
        let mut insert =
            connection.prepare("INSERT OR REPLACE INTO own_removal VALUES (?1, ?2)")?;
        for repository in repositories {
            insert.execute(params![repository, now_ns])?;
        }
        Ok(())
    })
}

/// Records that the deletion has ended and was scanned.
pub fn end_own_removal(path: &Path) -> Result<(), DatabaseError> {
    change(path, |connection| connection.execute("DELETE FROM own_removal", []).map(|_| ()))
}

fn change(
    path: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), DatabaseError> {
    let _lock = WriteLock::take(path)?;
    let connection = open_for_writing(path)?;
    let run = || {
        let transaction = connection.unchecked_transaction()?;
        work(&transaction)?;
        transaction.commit()
    };
    run().map_err(|source| DatabaseError::from_sqlite_write(path, source))
}
