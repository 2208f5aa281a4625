//! What a scan leaves for the next one, as bytes that only `scan` understands.

use std::io::{self, Write};
use std::path::Path;

use rusqlite::{Connection, Statement, params};

use super::open_for_reading;

/// The largest piece, in bytes: a section is written without ever being held as a whole.
const PIECE_BYTES: usize = 1 << 20;

/// Writes a section, which takes the place of what the file has of it. What `fill` cannot encode ends the
/// section early, and the reader finds that out.
pub(super) fn write(
    connection: &Connection,
    section: u8,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM remembered WHERE section = ?1", [section])?;
    let insert = connection.prepare("INSERT INTO remembered VALUES (?1, ?2, ?3)")?;
    let mut pieces =
        Pieces { insert, section, number: 0, piece: Vec::with_capacity(PIECE_BYTES), failed: None };
    let filled = fill(&mut pieces).and_then(|()| pieces.flush());
    match (pieces.failed, filled) {
        (Some(error), _) => Err(error),
        (None, _) => Ok(()),
    }
}

/// Gathers what is written into pieces.
struct Pieces<'c> {
    insert: Statement<'c>,
    section: u8,
    number: i64,
    piece: Vec<u8>,
    failed: Option<rusqlite::Error>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(PIECE_BYTES - self.piece.len())];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.insert.execute(params![self.section, self.number, self.piece]) {
            self.failed = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        self.number += 1;
        self.piece.clear();
        Ok(())
    }
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
