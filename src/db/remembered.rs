//! What a scan leaves for the next one, as bytes that only `scan` understands.

use std::path::Path;

use rusqlite::{Connection, params};

use super::open_for_reading;

/// The largest piece, in bytes: far below what SQLite takes as one value.
const PIECE_BYTES: usize = 16 << 20;

/// Writes sections; what the file has of others stays.
pub(super) fn write(connection: &Connection, sections: &[(u8, &[u8])]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare("DELETE FROM remembered WHERE section = ?1")?;
    let mut insert = connection.prepare("INSERT INTO remembered VALUES (?1, ?2, ?3)")?;
    for (section, bytes) in sections {
        delete.execute([section])?;
        for (piece, bytes) in (0_i64..).zip(bytes.chunks(PIECE_BYTES)) {
            insert.execute(params![section, piece, bytes])?;
        }
    }
    Ok(())
}

/// A section of the database at `path`; `None` when there is none, or it cannot be read.
pub fn remembered(path: &Path, section: u8) -> Option<Vec<u8>> {
    let connection = open_for_reading(path).ok()?;
    let sql = "SELECT bytes FROM remembered WHERE section = ?1 ORDER BY piece";
    let mut select = connection.prepare(sql).ok()?;
    let mut rows = select.query([section]).ok()?;
    let mut whole: Option<Vec<u8>> = None;
    while let Some(row) = rows.next().ok()? {
        let piece = row.get_ref(0).ok()?.as_blob().ok()?;
        whole.get_or_insert_default().extend_from_slice(piece);
    }
    whole
}
