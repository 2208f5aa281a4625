//! Freeing what the trash holds, for good.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::destination::Destination;
use super::error::TrashError;
use super::files::{error_at, exists, read_list, remove_half_done};
use super::list::{Header, in_order};
use super::lock::StorageLock;
use super::moves::{Counts, Move, MoveKind, SCHEMA};
use super::paths::{DONE, FILES, GONE, TRASH};
use super::reserve;
use super::run::existing;
use super::tree::{remove_empty_directories, remove_tree};
use super::undo::remove_run;
use crate::storage::{Allocation, Storage, StorageWriter};

/// Which runs a purge is about.
#[derive(Clone, Copy, Debug)]
pub struct PurgeOptions {
    /// Only runs that began before.
    pub started_before: Timestamp,
    /// Also runs that never came to their end. They are better undone: nobody checked whether
    /// something needs what they took.
    pub includes_unfinished: bool,
}

/// What a purge did, or would do.
#[derive(Debug, Default)]
pub struct PurgeReport {
    /// Runs that it is about, in the order in which they began.
    pub runs: Vec<PurgedRun>,
    /// Runs that never came to their end, and stay for that.
    pub unfinished: Vec<String>,
    /// Runs that began after one that stays: what two runs shared lies in the later one.
    pub held_back: Vec<String>,
    /// Runs that could not be purged, or not to their end, and why.
    pub failed: Vec<(String, TrashError)>,
}

impl PurgeReport {
    /// No run was removed, left or tried.
    pub fn is_of_nothing(&self) -> bool {
        self.runs.is_empty()
            && self.unfinished.is_empty()
            && self.held_back.is_empty()
            && self.failed.is_empty()
    }
}

/// What was, or would be, removed of one run.
#[derive(Debug, Default)]
pub struct PurgedRun {
    /// Its name.
    pub run: String,
    /// What was removed.
    pub counts: Counts,
    /// The sizes of that together.
    pub size_bytes: u64,
    /// Of that, bytes that other hard links hold.
    pub hard_linked_bytes: u64,
    /// Of that, bytes that never took blocks on the disk.
    pub sparse_bytes: u64,
    /// What stays because something needs it again.
    pub kept: Vec<Move>,
    /// What lies in the run's directory and is not in its list: it stays.
    pub leftovers: Vec<PathBuf>,
    /// Nothing of the run is left.
    pub is_removed: bool,
}

/// Removes runs for good, all but the items that `keep` asks for. It touches nothing outside of
/// the trash.
///
/// A run that stays and still holds something keeps all that began after it, because an undo of it may
/// need them: a layer goes with the last tag that has it. It does not matter why it stays: it was
/// stopped, its list cannot be read, or it is too young, which an earlier run can be only when a clock
/// was ahead. One that does not say when it began keeps all others.
///
/// Items go in the order of the list, tags before what they need, and each as a whole: an undo of
/// what an interrupted purge left puts back no half of anything. The next purge goes on.
///
/// # Errors
/// When the trash cannot be listed. What is wrong with one run is told in the report.
pub fn purge(
    storage: &dyn StorageWriter,
    _lock: &StorageLock,
    options: &PurgeOptions,
    keep: &dyn Fn(&Move) -> bool,
) -> Result<PurgeReport, TrashError> {
    let report = each_run(storage, options, |purged, directory, destination, moves| {
        purge_run(storage, directory, destination, moves, keep, purged)
    });
    reserve::fill(storage);
    report
}

/// Removes one run for good, whatever its age: its owner did not want a trash.
///
/// # Errors
/// When there is no such run, its list is damaged, or something cannot be removed.
pub fn purge_one(
    storage: &dyn StorageWriter,
    _lock: &StorageLock,
    run: &str,
) -> Result<PurgedRun, TrashError> {
    let directory = existing(storage, run)?;
    let (header, moves) = read_list(storage, &directory)?;
    let destination = Destination::new(&directory, header.schema, &moves);
    let mut purged = PurgedRun { run: run.to_owned(), ..PurgedRun::default() };
    purge_run(storage, &directory, &destination, &moves, &|_| false, &mut purged)
        .map_err(error_at(storage, &directory))?;
    Ok(purged)
}

/// What [`purge`] would remove.
pub fn purge_preview(
    storage: &dyn Storage,
    options: &PurgeOptions,
    keep: &dyn Fn(&Move) -> bool,
) -> Result<PurgeReport, TrashError> {
    each_run(storage, options, |purged, _, destination, moves| {
        let all = moves.iter().enumerate();
        for (number, item) in all.filter(|(_, item)| item.kind != MoveKind::Directory) {
            if !exists(storage, &destination.of(number, item))? {
            } else if keep(item) {
                purged.kept.push(item.clone());
            } else {
                purged.count(item, allocation(storage, item, &destination.of(number, item)));
            }
        }
        purged.is_removed = purged.kept.is_empty();
        Ok(())
    })
}

impl PurgedRun {
    pub(super) fn count(&mut self, item: &Move, allocation: Option<Allocation>) {
        if let Some(allocation) = allocation {
            let (all, sparse) = match allocation.link_count {
                0 | 1 => (0, item.size_bytes.saturating_sub(allocation.size_bytes)),
                _ => (item.size_bytes, 0),
            };
            self.hard_linked_bytes = self.hard_linked_bytes.saturating_add(all);
            self.sparse_bytes = self.sparse_bytes.saturating_add(sparse);
        }
        self.counts.add(item.kind);
        self.size_bytes = self.size_bytes.saturating_add(item.size_bytes);
    }
}

/// What the data of a blob or an upload takes on the disk.
fn allocation(storage: &dyn Storage, item: &Move, taken: &Path) -> Option<Allocation> {
    match item.kind {
        MoveKind::Blob | MoveKind::Upload => storage.allocation(&taken.join("data")).ok(),
        _ => None,
    }
}

fn each_run(
    storage: &dyn Storage,
    options: &PurgeOptions,
    mut purge_one: impl FnMut(&mut PurgedRun, &Path, &Destination, &[Move]) -> io::Result<()>,
) -> Result<PurgeReport, TrashError> {
    let mut report = PurgeReport::default();
    let runs = in_order(storage)?;
    let mut must_stay = runs.iter().any(|(_, header)| matches!(header, Header::Unreadable));
    for (run, _) in runs {
        let directory = Path::new(TRASH).join(&run);
        let (destination, moves) = match read_list(storage, &directory) {
            Ok((header, moves)) if header.started_at >= options.started_before => {
                let destination = Destination::new(&directory, header.schema, &moves);
                must_stay |= holds_any(storage, &destination, &moves).unwrap_or(true);
                continue;
            }
            Ok((header, moves)) => {
                let destination = Destination::new(&directory, header.schema, &moves);
                let is_done = exists(storage, &directory.join(DONE)).unwrap_or(false);
                // One that holds nothing is as good as one that never began.
                if !is_done
                    && !options.includes_unfinished
                    && holds_any(storage, &destination, &moves).unwrap_or(true)
                {
                    must_stay = true;
                    report.unfinished.push(run);
                    continue;
                }
                if must_stay {
                    report.held_back.push(run);
                    continue;
                }
                (destination, moves)
            }
            // It moved nothing, or a purge was stopped when all but the directory was gone.
            Err(TrashError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                (Destination::new(&directory, SCHEMA, &[]), Vec::new())
            }
            Err(error) => {
                must_stay = true;
                report.failed.push((run, error));
                continue;
            }
        };
        let mut purged = PurgedRun { run: run.clone(), ..PurgedRun::default() };
        if let Err(source) = purge_one(&mut purged, &directory, &destination, &moves) {
            let path = storage.root().join(&directory);
            report.failed.push((run, TrashError::Write { path, source }));
        }
        report.runs.push(purged);
    }
    Ok(report)
}

/// Whether anything of the list is in the trash.
fn holds_any(storage: &dyn Storage, destination: &Destination, moves: &[Move]) -> io::Result<bool> {
    let all = moves.iter().enumerate();
    for (number, item) in all.filter(|(_, item)| item.kind != MoveKind::Directory) {
        if exists(storage, &destination.of(number, item))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn purge_run(
    storage: &dyn StorageWriter,
    directory: &Path,
    destination: &Destination,
    moves: &[Move],
    keep: &dyn Fn(&Move) -> bool,
    purged: &mut PurgedRun,
) -> io::Result<()> {
    // What is in use holds up nothing else: the next purge may have more luck.
    let mut failed = remove_half_done(storage, directory).err();
    let files = directory.join(FILES);
    let mut kept = HashSet::new();
    for (number, item) in moves.iter().enumerate() {
        let taken = destination.of(number, item);
        if item.kind == MoveKind::Directory || !exists(storage, &taken)? {
            continue;
        }
        if keep(item) {
            kept.insert(taken);
            purged.kept.push(item.clone());
            continue;
        }
        // At once out of reach of an undo, which must never put back a part of something.
        let allocation = allocation(storage, item, &taken);
        let gone = directory.join(format!("{GONE}{number}"));
        storage.rename_new(&taken, &gone)?;
        match remove_tree(storage, &gone) {
            Ok(()) => purged.count(item, allocation),
            Err(error) => {
                let reason = format!("what was at `{}` is not gone: {error}", item.path.display());
                failed.get_or_insert(io::Error::new(error.kind(), reason));
            }
        }
    }
    purged.leftovers = remove_empty_directories(storage, &files, &|path| kept.contains(path))?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    if !exists(storage, &files)? {
        purged.leftovers.extend(remove_run(storage, directory)?);
        purged.is_removed = purged.leftovers.is_empty();
    }
    Ok(())
}
