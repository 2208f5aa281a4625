//! The scan behind a result: how old it is, and whether it read everything.

use rusqlite::{Connection, OptionalExtension as _};

/// The scan that made the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanInfo {
    /// When it was published, in nanoseconds since 1970.
    pub finished_ns: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// Whether everything could be read.
    pub is_complete: bool,
    /// Something outside of the storage seems to hold references, so garbage is not known.
    pub has_other_authority: bool,
    /// When the inventory was made that it read instead of listing, in nanoseconds since 1970.
    pub inventory_ns: Option<i64>,
}

impl ScanInfo {
    /// The scan in this database, if there is one.
    pub fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        connection
            .query_row(include_str!("sql/scan_age.sql"), [], |row| {
                Ok(Self {
                    finished_ns: row.get(0)?,
                    duration_ms: row.get(1)?,
                    is_complete: row.get(2)?,
                    has_other_authority: row.get(3)?,
                    inventory_ns: row.get(4)?,
                })
            })
            .optional()
    }
}
