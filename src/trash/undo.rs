//! Putting a run back.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::TrashError;
use super::files::{error_at, exists, remove_half_done};
use super::lock::StorageLock;
use super::moves::RunSummary;
use super::moves::{Counts, Move, MoveKind};
use super::paths::{DONE, FILES, MOVES, PARTIAL};
use super::run::{PutBack, TrashRun, existing};
use super::tree::{Left, is_clutter, remove_empty_directories, remove_tree};
use crate::storage::StorageWriter;

/// More failures than this have one cause: a disk that is broken, full or read-only.
const MAX_FAILURES: usize = 20;

/// What an undo did.
#[derive(Debug, Default)]
pub struct UndoReport {
    /// The run.
    pub run: String,
    /// What was put back.
    pub restored: Counts,
    /// The sizes of that together.
    pub restored_bytes: u64,
    /// What was in its place already: never taken, put back before, or pushed again as it was.
    pub in_place_count: u64,
    /// What stays in the trash because something else has its place: a tag was pushed again with
    /// another image, a blob is there whose content is wrong.
    pub conflicts: Vec<Move>,
    /// What could not be moved; another undo tries again.
    pub failures: Vec<Left>,
    /// What was not tried, because it may need what failed.
    pub held_back_count: u64,
    /// What is neither in the trash nor in its place: purged, or removed by someone else.
    pub missing: Vec<Move>,
    /// What lies in the run's directory and is not in its list.
    pub leftovers: Vec<PathBuf>,
    /// Tags that are in their place, by repository and name.
    pub tags: Vec<(String, String)>,
    /// Everything is back, and the run is gone from the trash.
    pub is_removed: bool,
}

impl UndoReport {
    /// Whether everything of the list is in its place.
    pub fn is_whole(&self) -> bool {
        self.conflicts.is_empty() && self.failures.is_empty() && self.missing.is_empty()
    }
}

/// Moves everything that a run took back to its place, in the reverse order of the list: blobs
/// before the links to them, tags last, so that nothing can be pulled before it is whole. When
/// something fails that an image may need, the rest of its kind is still tried unless it may be indexes
/// over that, and nothing of another kind.
///
/// It may be stopped at any point and called again. When nothing is left in the trash the run is
/// removed from it.
///
/// # Errors
/// When there is no such run, its list is damaged, or its directory cannot be cleaned up.
pub fn undo(
    storage: &dyn StorageWriter,
    lock: &StorageLock,
    run: &str,
) -> Result<UndoReport, TrashError> {
    let mut report = UndoReport { run: run.into(), ..UndoReport::default() };
    let directory = existing(storage, run)?;
    let (opened, _, moves) = match TrashRun::open(storage, lock, run) {
        // It was stopped before its list was whole, so before it moved anything.
        Err(TrashError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            clean_up(storage, &directory, &HashSet::new(), &mut report)?;
            return Ok(report);
        }
        opened => opened?,
    };
    let mut failed_kind = None;
    for item in moves.iter().rev() {
        // An index comes after the manifests that it names, and must not be seen without one of them.
        let may_need_it = |kind: MoveKind| kind != item.kind || kind == MoveKind::Revision;
        if failed_kind.is_some_and(may_need_it) || report.failures.len() >= MAX_FAILURES {
            report.held_back_count += 1;
        } else if let Err(reason) = put_back(storage, &opened, item, &mut report) {
            let is_needed = !matches!(item.kind, MoveKind::Directory | MoveKind::Upload);
            failed_kind = is_needed.then_some(item.kind).or(failed_kind);
            report.failures.push(Left { path: item.path.clone(), reason });
        }
    }
    if report.failures.is_empty() {
        let kept = report.conflicts.iter().map(|item| opened.taken(&item.path)).collect();
        clean_up(storage, opened.directory(), &kept, &mut report)?;
    }
    Ok(report)
}

/// Undoes a run that was stopped before its end, and ends it. It was not checked whether a push wrote to what
/// it took, or relied on that, and a registry may still remember it: so all of it comes back, whether
/// or not something seems to need it. What cannot, because something else has its place, ages out like
/// that of any other run.
///
/// # Errors
/// As [`undo`]; also when the end cannot be written down.
pub fn roll_back(
    storage: &dyn StorageWriter,
    lock: &StorageLock,
    run: &str,
    now: Timestamp,
) -> Result<UndoReport, TrashError> {
    let report = undo(storage, lock, run)?;
    if !report.is_removed && report.failures.is_empty() {
        let mut taken = Counts::default();
        let mut size_bytes = 0_u64;
        for item in &report.conflicts {
            taken.add(item.kind);
            size_bytes = size_bytes.saturating_add(item.size_bytes);
        }
        let (opened, ..) = TrashRun::open(storage, lock, run)?;
        let put_back_count = report.restored.total();
        opened.finish(&RunSummary { taken, size_bytes, put_back_count, finished_at: now })?;
    }
    Ok(report)
}

fn put_back(
    storage: &dyn StorageWriter,
    run: &TrashRun<'_>,
    item: &Move,
    report: &mut UndoReport,
) -> io::Result<()> {
    if item.kind == MoveKind::Directory {
        match run.create_directory(&item.path) {
            Ok(()) => report.restored.add(item.kind),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                report.in_place_count += 1;
            }
            Err(error) => return Err(error),
        }
        return Ok(());
    }
    match run.put_back(&item.path)? {
        PutBack::Done => {
            report.restored.add(item.kind);
            report.restored_bytes = report.restored_bytes.saturating_add(item.size_bytes);
        }
        PutBack::NotThere if exists(storage, &item.path)? => report.in_place_count += 1,
        PutBack::PlaceTaken if run.discard_needless(item)? => report.in_place_count += 1,
        PutBack::NotThere => {
            report.missing.push(item.clone());
            return Ok(());
        }
        PutBack::PlaceTaken => {
            report.conflicts.push(item.clone());
            return Ok(());
        }
    }
    // Whether it came back now or before this undo was stopped.
    if let (MoveKind::Tag, Some(repository)) = (item.kind, &item.repository) {
        report.tags.push((repository.clone(), item.name.clone()));
    }
    Ok(())
}

/// Removes the run's directory when nothing of value is left in it.
fn clean_up(
    storage: &dyn StorageWriter,
    directory: &Path,
    kept: &HashSet<PathBuf>,
    report: &mut UndoReport,
) -> Result<(), TrashError> {
    let files = directory.join(FILES);
    let error = error_at(storage, directory);
    let mut clean = || -> io::Result<bool> {
        report.leftovers = remove_empty_directories(storage, &files, &|path| kept.contains(path))?;
        if exists(storage, &files)? {
            return Ok(false);
        }
        report.leftovers.extend(remove_run(storage, directory)?);
        Ok(report.leftovers.is_empty())
    };
    report.is_removed = clean().map_err(error)?;
    Ok(())
}

/// Removes the directory of a run whose [`FILES`] are gone. Gives what is not regsql's: then all of
/// it stays.
pub(super) fn remove_run(
    storage: &dyn StorageWriter,
    directory: &Path,
) -> io::Result<Vec<PathBuf>> {
    remove_half_done(storage, directory)?;
    let is_own = |name: &OsStr| {
        name == DONE || name == MOVES || name.as_bytes().ends_with(PARTIAL.as_bytes())
    };
    let (mut own, others): (Vec<_>, Vec<_>) =
        storage.list(directory)?.into_iter().map(|entry| entry.name).partition(|name| is_own(name));
    let (clutter, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|name| is_clutter(Path::new(name)));
    for name in clutter {
        remove_tree(storage, &directory.join(name))?;
    }
    if !others.is_empty() {
        return Ok(others.into_iter().map(|name| directory.join(name)).collect());
    }
    // The mark of its end is the last: a list without it is that of a run to be undone. Without the list the
    // run counts as one that never began, which any purge cleans up.
    own.sort_by_key(|name| name == DONE);
    for name in own {
        remove_tree(storage, &directory.join(name))?;
    }
    storage.remove_directory(directory)?;
    Ok(Vec::new())
}
