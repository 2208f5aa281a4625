//! Times of verification on their way from one snapshot to the next.

use rusqlite::{Connection, Row, Rows, Statement};

use super::content::digest_in;
use crate::model::Digest;

/// The statement behind [`VerifiedTimes`].
pub fn prepare(old: &Connection) -> rusqlite::Result<Statement<'_>> {
    old.prepare(include_str!("sql/verified_blobs.sql"))
}

/// The old snapshot's times, read once beside the new snapshot's blobs: both are in the order of
/// digests.
#[derive(Default)]
pub struct VerifiedTimes<'a> {
    rows: Option<Rows<'a>>,
    next: Option<OldBlob>,
}

struct OldBlob {
    digest: Digest,
    /// Size, mtime and ctime.
    facts: [Option<i64>; 3],
    /// Of the file that was read; `None` when a version read it that did not note that.
    inode: Option<i64>,
    verified_ns: i64,
}

impl<'a> VerifiedTimes<'a> {
    /// Begins to read.
    pub fn new(statement: &'a mut Statement<'_>) -> rusqlite::Result<Self> {
        let mut times = Self { rows: Some(statement.query([])?), next: None };
        times.advance();
        Ok(times)
    }

    /// When the content of a blob was found right, if its file is still the one that was read. Ask
    /// in the order of digests.
    pub fn of(&mut self, digest: &Digest, facts: [i64; 3], inode: u64) -> Option<i64> {
        while self.next.as_ref().is_some_and(|next| next.digest < *digest) {
            self.advance();
        }
        let same = |next: &&OldBlob| {
            next.digest == *digest
                && next.facts == facts.map(Some)
                && next.inode.is_none_or(|known| known == inode as i64)
        };
        self.next.as_ref().filter(same).map(|next| next.verified_ns)
    }

    /// A damaged old file ends it: its times are not worth failing a scan for.
    fn advance(&mut self) {
        let row = self.rows.as_mut().and_then(|rows| rows.next().ok().flatten());
        self.next = row.and_then(|row| old_blob(row).ok());
    }
}

fn old_blob(row: &Row<'_>) -> rusqlite::Result<OldBlob> {
    Ok(OldBlob {
        digest: digest_in(row, 0)?,
        facts: [row.get(2)?, row.get(3)?, row.get(4)?],
        verified_ns: row.get(5)?,
        inode: row.get(6)?,
    })
}
