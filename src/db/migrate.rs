//! Versions of the file. Tables change by appended migrations; views are made anew whenever the
//! ones in the file are not this program's.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use sha2::{Digest as _, Sha256};

/// Marks a file as regsql's (`PRAGMA application_id`): the bytes `rsql`.
pub const APPLICATION_ID: i32 = 0x7273_716c;

/// The public views, and the one source of what `schema` prints.
pub const VIEWS_SQL: &str = include_str!("../../migrations/views.sql");

/// Views that regsql's own queries share.
pub const PRIVATE_VIEWS_SQL: &str = include_str!("../../migrations/private_views.sql");

const INDICES_SQL: &str = include_str!("../../migrations/indices.sql");

/// Never edit a migration that was released: append one.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_tables.sql"),
    include_str!("../../migrations/0002_storage.sql"),
    include_str!("../../migrations/0003_retention.sql"),
    include_str!("../../migrations/0004_vanished.sql"),
    include_str!("../../migrations/0005_authority.sql"),
    include_str!("../../migrations/0006_unknown.sql"),
    include_str!("../../migrations/0007_reclaimable.sql"),
    include_str!("../../migrations/0008_held.sql"),
    include_str!("../../migrations/0009_external_root.sql"),
    include_str!("../../migrations/0010_remembered.sql"),
    include_str!("../../migrations/0011_root_revisions.sql"),
    include_str!("../../migrations/0012_scan_schema.sql"),
    include_str!("../../migrations/0013_root_rows.sql"),
    include_str!("../../migrations/0014_report_tables.sql"),
    include_str!("../../migrations/0015_checked_file.sql"),
    include_str!("../../migrations/0016_bucket.sql"),
    include_str!("../../migrations/0017_disk_use.sql"),
    include_str!("../../migrations/0018_image_figures.sql"),
    include_str!("../../migrations/0019_newer_versions.sql"),
    include_str!("../../migrations/0020_seen_repository.sql"),
];

/// The `user_version` of a file made by this program.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

fn migrations() -> Migrations<'static> {
    Migrations::new(MIGRATIONS.iter().map(|sql| M::up(sql)).collect())
}

/// Brings the tables of a new or older file to this program's version.
pub fn create_tables(connection: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrations().to_latest(connection)
}

/// Builds the indices; after the rows, because that is several times faster.
pub fn create_indices(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(INDICES_SQL)
}

/// Notes in a new snapshot which tables its scan has filled.
pub(super) fn record_scan_schema(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO scan_schema VALUES (1, ?1)";
    connection.execute(sql, [SCHEMA_VERSION as i64]).map(drop)
}

/// Whether the scan filled all tables of this version: one that an older regsql made did not.
pub fn is_scan_current(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM scan_schema WHERE version = ?1)";
    connection.query_row(sql, [SCHEMA_VERSION as i64], |row| row.get(0))
}

/// Whether the file has just the tables, indices and views that this program gives a new one.
pub(super) fn is_form_current(connection: &Connection) -> rusqlite::Result<bool> {
    let mut new = Connection::open_in_memory()?;
    create_tables(&mut new).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err,
        _ => rusqlite::Error::InvalidQuery,
    })?;
    create_indices(&new)?;
    apply_views(&new)?;
    let form = |connection: &Connection| -> rusqlite::Result<Vec<[Option<String>; 4]>> {
        let mut select = connection.prepare(include_str!("sql/form.sql"))?;
        let rows =
            select.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
        rows.collect()
    };
    Ok(views_are_current(connection)? && form(connection)? == form(&new)?)
}

fn views_sha256() -> [u8; 32] {
    Sha256::new().chain_update(VIEWS_SQL).chain_update(PRIVATE_VIEWS_SQL).finalize().into()
}

/// Whether the file's views are this program's.
pub fn views_are_current(connection: &Connection) -> rusqlite::Result<bool> {
    let in_file: Option<Vec<u8>> = connection
        .query_row("SELECT sha256 FROM views_in_file", [], |row| row.get(0))
        .map(Some)
        .or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(None),
            other => Err(other),
        })?;
    Ok(in_file.as_deref() == Some(views_sha256().as_slice()))
}

/// Drops the file's views and makes this program's.
pub fn apply_views(connection: &Connection) -> rusqlite::Result<()> {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for name in names {
        connection.execute_batch(&format!("DROP VIEW \"{}\"", name.replace('"', "\"\"")))?;
    }
    connection.execute_batch(VIEWS_SQL)?;
    connection.execute_batch(PRIVATE_VIEWS_SQL)?;
    connection.execute(
        "INSERT OR REPLACE INTO views_in_file (id, sha256) VALUES (1, ?1)",
        [views_sha256().as_slice()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        migrations().validate().unwrap();
    }
}
