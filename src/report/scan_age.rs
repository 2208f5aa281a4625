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
}

impl ScanInfo {
    /// The scan in this database, if there is one.
    pub fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        connection
            .query_row("SELECT finished_ns, duration_ms, is_complete FROM scan", [], |row| {
                Ok(Self {
                    finished_ns: row.get(0)?,
                    duration_ms: row.get(1)?,
                    is_complete: row.get(2)?,
                })
            })
            .optional()
    }
}
