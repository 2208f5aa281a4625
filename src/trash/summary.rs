//! What a scan tells of the trash and of the last deletion, from a few small files.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::TrashError;
use super::files::{error_at, missing_is_fine, names, read_first_line};
use super::moves::{self, Counts, RunHeader, RunSummary};
use super::paths::{DONE, MOVES, OWN, PARTIAL, TRASH};
use crate::storage::{Storage, StorageWriter};

/// Beside the trash, so that a purge leaves it.
pub(super) const LAST: &str = "last.json";

/// What the trash holds, as its runs say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrashSummary {
    /// Runs in it.
    pub run_count: u64,
    /// Of those, the ones that were stopped before their end, or cannot be read.
    pub unfinished_count: u64,
    /// Bytes that a purge frees.
    pub size_bytes: u64,
    /// The last deletion, whether or not it went to the trash.
    pub last: Option<LastRun>,
}

/// How the last deletion ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When.
    #[serde(with = "moves::time_text")]
    pub finished_at: Timestamp,
    /// It came to its end.
    pub is_complete: bool,
    /// What went.
    pub counts: Counts,
    /// The sizes of that together.
    pub size_bytes: u64,
    /// What was asked for and stayed.
    pub skipped_count: u64,
    /// What came back because something needed it.
    pub put_back_count: u64,
    /// The exit code of the command, 0 until that has ended.
    #[serde(default)]
    pub exit_code: u8,
}

impl TrashSummary {
    /// As figures of the database, for metrics.
    pub fn totals(&self) -> Vec<(&'static str, i64)> {
        let last = self.last.as_ref();
        let of_last = |figure: fn(&LastRun) -> u64| last.map_or(0, |last| figure(last) as i64);
        vec![
            ("trash_run_count", self.run_count as i64),
            ("trash_unfinished_run_count", self.unfinished_count as i64),
            ("trash_bytes", self.size_bytes as i64),
            ("last_prune_finished_seconds", last.map_or(0, |last| last.finished_at.as_second())),
            ("last_prune_is_complete", of_last(|last| u64::from(last.is_complete))),
            ("last_prune_exit_code", of_last(|last| u64::from(last.exit_code))),
            ("last_prune_bytes", of_last(|last| last.size_bytes)),
            ("last_prune_skipped_count", of_last(|last| last.skipped_count)),
            ("last_prune_put_back_count", of_last(|last| last.put_back_count)),
        ]
    }
}

/// Reads what the runs say of themselves; what cannot be read counts as unfinished.
pub fn summary(storage: &dyn Storage) -> TrashSummary {
    let mut summary =
        TrashSummary { last: read(storage, &Path::new(OWN).join(LAST)), ..TrashSummary::default() };
    for run in names(storage).unwrap_or_default() {
        summary.run_count += 1;
        let directory = Path::new(TRASH).join(run);
        let size_bytes = if let Some(done) = read::<RunSummary>(storage, &directory.join(DONE)) {
            done.size_bytes
        } else {
            summary.unfinished_count += 1;
            read::<RunHeader>(storage, &directory.join(MOVES)).map_or(0, |header| header.size_bytes)
        };
        summary.size_bytes = summary.size_bytes.saturating_add(size_bytes);
    }
    summary
}

fn read<T: for<'de> Deserialize<'de>>(storage: &dyn Storage, path: &Path) -> Option<T> {
    read_first_line(storage, path).ok().flatten()
}

/// Writes down the exit code of a command that was to delete and began at `started_at`. One that came to
/// no deletion is the last one all the same, for a night job that fails must be seen.
///
/// # Errors
/// When the file cannot be written.
pub fn record_exit(
    storage: &dyn StorageWriter,
    started_at: Timestamp,
    ended_at: Timestamp,
    exit_code: u8,
) -> Result<(), TrashError> {
    let known = read::<LastRun>(storage, &Path::new(OWN).join(LAST));
    match LastRun::after_exit(known, started_at, ended_at, exit_code) {
        Some(last) => record_last(storage, &last),
        None => Ok(()),
    }
}

impl LastRun {
    /// What is to be written down of a command, when `known` was written down before.
    pub(super) fn after_exit(
        known: Option<Self>,
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: u8,
    ) -> Option<Self> {
        match known {
            Some(last) if last.finished_at >= started_at => Some(Self { exit_code, ..last }),
            // There was nothing to delete, and nothing failed: the last deletion stays the last.
            Some(last) if exit_code < 2 => Some(Self { exit_code, ..last }),
            None if exit_code < 2 => None,
            _ => Some(Self {
                finished_at: ended_at,
                is_complete: false,
                counts: Counts::default(),
                size_bytes: 0,
                skipped_count: 0,
                put_back_count: 0,
                exit_code,
            }),
        }
    }
}

/// Writes down how a deletion ended.
///
/// # Errors
/// When the file cannot be written.
pub fn record_last(storage: &dyn StorageWriter, last: &LastRun) -> Result<(), TrashError> {
    let path = Path::new(OWN).join(LAST);
    let partial = Path::new(OWN).join([LAST, PARTIAL].concat());
    let write = || -> io::Result<()> {
        let mut bytes = serde_json::to_vec(last)?;
        bytes.push(b'\n');
        missing_is_fine(storage.remove_file(&partial))?;
        storage.write_new(&partial, &bytes)?;
        missing_is_fine(storage.remove_file(&path))?;
        storage.rename_new(&partial, &path)
    };
    write().map_err(error_at(storage, &path))
}
