//! The list of a run in a bucket: one object, written before anything goes.
//!
//! It is the list of a file system ([`crate::trash::moves_list`]), then a line with the number of objects,
//! then one line an object: `[number of the move, what follows the move's path, fate, size, written at,
//! entity tag, version, content]`. The content of links is in it, so that putting them back needs
//! nothing but the list.

use std::io;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{bytes_of, text_of};
use crate::storage::Layout;
use crate::trash::error::TrashError;
use crate::trash::moves::{self, MAX_MOVES_BYTES, Move, RunHeader, RunSummary};

/// Begins the line between moves and objects.
const OBJECTS: &str = "objects";

/// How a run ended: `done.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    #[serde(flatten)]
    pub summary: RunSummary,
    /// Things of the list that the run did not take, or put back, by their numbers.
    #[serde(default)]
    pub stayed: Vec<usize>,
}

/// What becomes of an object, now and when it is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is deleted; the list has its content.
    Listed,
    /// It stays where it is, and a purge deletes it.
    Marked,
    /// It is deleted; the bucket keeps it as an older version, which a purge deletes.
    Version,
    /// It is deleted; the bucket keeps it by itself for some days.
    Soft,
    /// It is copied beside the list, and deleted; a purge deletes the copy.
    Copied,
    /// A multipart upload, which stays until a purge aborts it.
    Parts,
}

/// One object of something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of its move in the list.
    pub item: usize,
    /// What follows the path of the move, without a slash at its front; nothing when the path is
    /// the object's own.
    pub below: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Its size in bytes; of [`Fate::Parts`] that of all parts.
    pub size_bytes: u64,
    /// When it was written, in nanoseconds since 1970; of [`Fate::Parts`] when the newest came.
    pub modified_ns: i64,
    /// Its entity tag; of [`Fate::Parts`] the name of the upload.
    pub etag: Option<String>,
    /// What tells this write from every other, where something does.
    pub version: Option<String>,
    /// Its content, of links and of manifests that could not be read otherwise.
    pub content: Option<Vec<u8>>,
}

impl Entry {
    /// Whether it stays where it is until a purge.
    pub fn is_mark(&self) -> bool {
        matches!(self.fate, Fate::Marked | Fate::Parts)
    }
}

/// A line of the list.
#[derive(Serialize, Deserialize)]
struct Line(
    usize,
    String,
    Fate,
    u64,
    i64,
    Option<String>,
    Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<String>,
);

/// A whole list.
#[derive(Debug)]
pub struct Journal {
    /// The run's header.
    pub header: RunHeader,
    /// What goes, in its order.
    pub moves: Vec<Move>,
    /// The objects of that, in the same order.
    pub entries: Vec<Entry>,
    /// The entries of each move.
    ranges: Vec<Range<u32>>,
}

impl Journal {
    /// Of moves and entries, which are in the order of their moves.
    pub fn new(header: RunHeader, moves: Vec<Move>, entries: Vec<Entry>) -> Self {
        let mut ranges = Vec::with_capacity(moves.len());
        let mut at = 0;
        for number in 0..moves.len() {
            let begin = at;
            while entries.get(at).is_some_and(|entry| entry.item == number) {
                at += 1;
            }
            ranges.push(begin as u32..at as u32);
        }
        Self { header, moves, entries, ranges }
    }

    /// The objects of a move.
    pub fn entries_of(&self, number: usize) -> &[Entry] {
        let range = self.ranges.get(number).cloned().unwrap_or_default();
        &self.entries[range.start as usize..range.end as usize]
    }

    /// The path of an object below the storage's root.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        path_below(&self.moves[entry.item].path, &entry.below)
    }

    /// As it is written.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`].
    pub fn to_bytes(&self, layout: &Layout) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        moves::write(&mut bytes, &self.header, layout, &self.moves, MAX_MOVES_BYTES)?;
        serde_json::to_writer(&mut bytes, &(OBJECTS, self.entries.len()))?;
        bytes.push(b'\n');
        for entry in &self.entries {
            let content = entry.content.as_deref().map(text_of_bytes);
            let line = Line(
                entry.item,
                entry.below.clone(),
                entry.fate,
                entry.size_bytes,
                entry.modified_ns,
                entry.etag.clone(),
                entry.version.clone(),
                content,
            );
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        if bytes.len() as u64 > MAX_MOVES_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Reads what anyone may have written.
    ///
    /// # Errors
    /// [`TrashError::Damaged`] and [`TrashError::Newer`], which name `file`.
    pub fn read(bytes: &[u8], layout: &Layout, file: &Path) -> Result<Self, TrashError> {
        let damaged =
            |line: u64, reason: String| TrashError::Damaged { path: file.to_owned(), line, reason };
        let mark = format!("\n[\"{OBJECTS}\",");
        let Some(at) = memchr::memmem::find(bytes, mark.as_bytes()) else {
            return Err(damaged(1, "it ends before the objects of the moves".into()));
        };
        let (list, rest) = bytes.split_at(at + 1);
        let (header, moves) = moves::read(list, layout, file)?;
        let first = memchr::memchr_iter(b'\n', list).count() as u64 + 1;
        let mut lines = (first..).zip(rest.split_inclusive(|byte| *byte == b'\n'));
        let (_, count) = lines.next().unwrap_or((first, b""));
        let (_, count): (String, usize) =
            serde_json::from_slice(count).map_err(|error| damaged(first, error.to_string()))?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut last_read = first;
        for (number, line) in lines {
            let entry = read_line(line).map_err(|reason| damaged(number, reason))?;
            let follows = entries.last().is_none_or(|before| before.item <= entry.item);
            if entry.item >= moves.len() || !follows || !is_plain(&entry.below) {
                return Err(damaged(number, "it is of no move of the list".into()));
            }
            entries.push(entry);
            last_read = number;
        }
        if entries.len() != count || !bytes.ends_with(b"\n") {
            let found = entries.len();
            return Err(damaged(
                last_read,
                format!("{found} objects follow where {count} are named"),
            ));
        }
        Ok(Self::new(header, moves, entries))
    }
}

fn read_line(line: &[u8]) -> Result<Entry, String> {
    let Line(item, below, fate, size_bytes, modified_ns, etag, version, content) =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let content = match content {
        None => None,
        Some(text) => Some(bytes_of(&text).ok_or("its content is no text of bytes")?.into_vec()),
    };
    if fate == Fate::Listed && content.is_none() {
        return Err("a link without its content".into());
    }
    Ok(Entry { item, below, fate, size_bytes, modified_ns, etag, version, content })
}

fn text_of_bytes(bytes: &[u8]) -> String {
    text_of(std::ffi::OsStr::from_bytes(bytes))
}

/// Whether it leads nowhere but below.
fn is_plain(below: &str) -> bool {
    below.is_empty() || below.split('/').all(|part| part != "." && part != "..")
}

/// A path and what follows it.
pub fn path_below(path: &Path, below: &str) -> PathBuf {
    if below.is_empty() { path.to_owned() } else { path.join(below) }
}
