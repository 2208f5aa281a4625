//! The scan that a new one is compared with: what was there then and is not there now vanished,
//! unless a deletion of regsql's own took it or a person accepts it.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::open::open_for_writing;
use super::{DatabaseError, WriteLock, open_for_reading, stamp};

/// What a repository had, or what a deletion leaves of it.
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
    /// Its repositories, without what regsql has deleted since. Of those that it could not read, as the last that
    /// could saw them.
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
    let found: Option<i64> = connection.query_row(sql, [root], |row| row.get(0)).optional()?;
    let Some(finished_ns) = found else { return Ok(None) };
    let mut select = connection.prepare(include_str!("sql/repositories_then.sql"))?;
    let mut rows = select.query(params![root, now_ns()])?;
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

/// Makes the scan that is in the database a witness for all that it could read, if nothing has vanished in it.
pub(super) fn record(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM problem WHERE code = 'vanished')";
    if connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(());
    }
    take_for_right(connection, "scan")
}

/// Later scans are compared with the one in the database; what it could not read is neither missed nor forgotten.
fn take_for_right(connection: &Connection, reason: &str) -> rusqlite::Result<()> {
    let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut select = connection.prepare(sql)?;
        let texts = select.query_map([], |row| row.get(0))?;
        texts.collect()
    };
    let places = texts(include_str!("sql/hidden_places.sql"))?;
    if places.iter().any(String::is_empty) {
        return Ok(());
    }
    let around: HashSet<&str> = places.iter().flat_map(|place| and_above(place)).collect();
    let places: HashSet<&str> = places.iter().map(String::as_str).collect();
    connection.execute_batch("CREATE TEMP TABLE hidden_repository (name TEXT PRIMARY KEY)")?;
    let mut hide = connection.prepare("INSERT INTO temp.hidden_repository VALUES (?1)")?;
    let names =
        if places.is_empty() { Vec::new() } else { texts(include_str!("sql/seen_names.sql"))? };
    for name in &names {
        if around.contains(name.as_str()) || and_above(name).any(|above| places.contains(above)) {
            hide.execute([name])?;
        }
    }
    drop(hide);
    let sql = "INSERT OR IGNORE INTO witness SELECT scan_number, ?1 FROM scan";
    connection.execute(sql, [reason])?;
    connection.execute_batch(include_str!("sql/record_witness.sql"))
}

/// A path, and all above it but the top.
fn and_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
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
    change(path, |connection| take_for_right(connection, "accepted"))
}

/// Records what a deletion of regsql's own, which begins now, is to leave of the repositories from which it takes
/// something. What another one left, that was killed, counts no more.
pub fn begin_own_deletion(
    path: &Path,
    left: impl Iterator<Item = RepositoryThen>,
) -> Result<(), DatabaseError> {
    change(path, |connection| {
        connection.execute("DELETE FROM own_deletion", [])?;
        let mut insert = connection.prepare(include_str!("sql/begin_own_deletion.sql"))?;
        let now_ns = now_ns();
        for RepositoryThen { name, tag_count, revision_count } in left {
            insert.execute(params![name, now_ns, tag_count as i64, revision_count as i64])?;
        }
        Ok(())
    })
}

/// Records that the deletion has ended: from now on all that it left is watched again.
pub fn end_own_deletion(path: &Path) -> Result<(), DatabaseError> {
    change(path, |connection| connection.execute_batch(include_str!("sql/end_own_deletion.sql")))
}

/// By the clock that times of scans are of.
fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
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
