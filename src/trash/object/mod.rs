//! The trash of a storage in a bucket.
//!
//! Nothing can be renamed there, so nothing is. The list of a run is one object, written before anything
//! goes, and holds the content of every link: putting links and tags back is writing them again. The
//! data of blobs is left to what the bucket can do ([`Way`]): an older version, a soft deletion, a copy,
//! or a mark: it stays where it is, is listed, and goes only when a purge has looked again.
//!
//! What a bucket does not honour is not relied on: a tag goes only if it is still what was listed, and
//! where no deletion can be bound to that, only while nothing else writes.

mod begin;
mod journal;
mod lock;
mod purge;
mod requests;
mod restore;
mod run;
mod runs;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use journal::{Entry, Fate, Journal};
pub use lock::LEASE;

pub use super::remover::Way;

use self::lock::Watch;
use self::requests::error_at;
use super::error::TrashError;
use super::held::HeldRun;
use super::list::{RunInfo, RunState};
use super::lock::StorageLock;
use super::moves::Move;
use super::paths::{LOCK, TRASH};
use super::purge::{PurgeOptions, PurgeReport, PurgedRun};
use super::remover::{BeginOptions, Keeping, Remover, Trash};
use super::summary::{LastRun, TrashSummary};
use super::undo::UndoReport;
use crate::storage::object::{Abilities, Bucket, Listed, Object};
use crate::storage::{Storage, StorageWriter};

/// How long data is only marked before a purge may delete it beside a registry that may write: longer
/// than any push takes.
pub const MARGIN: Duration = Duration::from_hours(24);

/// How long after a deletion of marked data links are listed once more: a registry writes a link within
/// one request after it has found the data.
pub const SETTLE: Duration = Duration::from_mins(1);

/// The lock of a whole job.
const JOB: &str = ".regsql/job";

/// How a trash in a bucket works.
#[derive(Clone, Copy, Debug)]
pub struct ObjectOptions {
    /// What becomes of the data of blobs.
    pub way: Way,
    /// Nothing else writes to the storage.
    pub is_quiet: bool,
    /// How long data is only marked, unless it is quiet.
    pub margin: Duration,
    /// Unless it is quiet: how long after its deletion to look once more whether a push relied on marked
    /// data. Longer than a registry takes from finding data to writing its link.
    pub settle: Duration,
    /// How long the lock holds that is not renewed.
    pub lease: Duration,
    /// What time it is.
    pub now: Timestamp,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            way: Way::Auto,
            is_quiet: false,
            margin: MARGIN,
            settle: SETTLE,
            lease: LEASE,
            now: Timestamp::now(),
        }
    }
}

/// A storage in a bucket that may be changed.
pub struct ObjectTrash {
    storage: Box<dyn Listed>,
    options: ObjectOptions,
    abilities: OnceLock<Abilities>,
    watch: Arc<Watch>,
    /// When this process last changed something that a listing shows.
    changed_at: Mutex<Option<Instant>>,
}

impl ObjectTrash {
    /// Nothing is asked of the bucket yet.
    pub fn new(storage: Box<dyn Listed>, options: ObjectOptions) -> Self {
        Self {
            storage,
            options,
            abilities: OnceLock::new(),
            watch: Arc::default(),
            changed_at: Mutex::default(),
        }
    }

    fn bucket(&self) -> &dyn Bucket {
        self.storage.bucket().as_ref()
    }

    /// The key of something of regsql's own.
    fn own_key(&self, path: &str) -> String {
        format!("{}{path}", self.storage.prefix())
    }

    /// What the bucket can do. It is tried out once, with objects of regsql's own.
    fn abilities(&self) -> Result<Abilities, TrashError> {
        if let Some(known) = self.abilities.get() {
            return Ok(*known);
        }
        let probed = self.bucket().abilities(&self.own_key(".regsql/probe/")).map_err(error_at)?;
        Ok(*self.abilities.get_or_init(|| probed))
    }

    /// Where a lock of the storage lies, if the bucket can hold one.
    fn place_of(&self, path: &str) -> Result<lock::Place, TrashError> {
        let Abilities { has_versions, puts_if_absent, .. } = self.abilities()?;
        if !puts_if_absent {
            return Err(TrashError::Bucket {
                message: format!(
                    "`{}` cannot be locked: it writes over an object that is only to be made new",
                    self.bucket().url()
                ),
                hint: Some(
                    "a server that honours `If-None-Match: *` is needed to delete in its buckets; \
                     scans and reports work as they are"
                        .into(),
                ),
            });
        }
        Ok(lock::Place {
            bucket: Arc::clone(self.storage.bucket()),
            key: self.own_key(path),
            lease: self.options.lease,
            has_versions,
        })
    }

    /// Takes the right to run a whole job on the storage, as [`super::lock_job`]: its steps take the lock
    /// of the storage themselves.
    ///
    /// # Errors
    /// [`TrashError::LockedBy`] when another job runs; when the bucket can hold no lock.
    pub fn lock_job(&self) -> Result<StorageLock, TrashError> {
        let held = lock::take(self.place_of(JOB)?, &Arc::default())?;
        Ok(StorageLock::of_bucket(Box::new(held)))
    }

    /// Lists the storage anew, unless nothing can have changed since it was listed: nothing else writes, the
    /// lock was held before that, and this process changed nothing after it.
    fn refresh_if_old(&self) -> Result<(), TrashError> {
        let changed_at = *self.changed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = self.options.is_quiet
            && self.storage.listed_at().is_some_and(|listed_at| {
                self.watch.held_since().is_some_and(|held_since| held_since < listed_at)
                    && changed_at.is_none_or(|changed_at| changed_at < listed_at)
            });
        if is_current { Ok(()) } else { self.refresh() }
    }

    /// Something that a listing shows is no longer as it was listed.
    fn note_change(&self) {
        *self.changed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Lists the storage anew.
    fn refresh(&self) -> Result<(), TrashError> {
        self.storage
            .refresh()
            .map_err(|source| TrashError::Read { path: self.storage.root().to_owned(), source })
    }

    /// All objects at `path` or below it, as they were last listed.
    fn objects_at(&self, path: &Path) -> Result<Vec<Object>, TrashError> {
        self.storage
            .objects_at(path)
            .map_err(|source| TrashError::Read { path: path.to_owned(), source })
    }

    /// Whether this process still holds the lock.
    fn must_hold_lock(&self) -> std::io::Result<()> {
        if self.watch.is_held() {
            return Ok(());
        }
        Err(std::io::Error::other("the lock of the storage could not be renewed in time"))
    }
}

impl Trash for ObjectTrash {
    fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    fn writer(&self) -> Option<&dyn StorageWriter> {
        None
    }

    fn keeping(&self) -> Result<Keeping, TrashError> {
        let abilities = self.abilities()?;
        Ok(match self.fate_of_data(abilities)? {
            Fate::Version => Keeping::Versions,
            Fate::Soft => {
                Keeping::Soft { seconds: abilities.soft_delete_seconds.unwrap_or_default() }
            }
            Fate::Copied => Keeping::Copied,
            Fate::Marked | Fate::Listed | Fate::Parts => {
                let is_quiet = self.options.is_quiet;
                let margin_seconds = if is_quiet { 0 } else { self.options.margin.as_secs() };
                Keeping::Marked { margin_seconds }
            }
        })
    }

    /// When the lock was last renewed.
    fn now_ns(&self) -> Option<i64> {
        let lock = self.bucket().head(&self.own_key(LOCK)).ok()?;
        lock.map(|lock| lock.modified_ns)
    }

    fn lock(&self) -> Result<StorageLock, TrashError> {
        let held = lock::take(self.place_of(LOCK)?, &self.watch)?;
        Ok(StorageLock::of_bucket(Box::new(held)))
    }

    fn begin<'t>(
        &'t self,
        _lock: &'t StorageLock,
        moves: &[Move],
        options: &BeginOptions<'_>,
    ) -> Result<Box<dyn Remover + 't>, TrashError> {
        Ok(Box::new(self.begin_run(moves, options)?))
    }

    fn check_room(&self, _move_count: u64) -> Result<(), TrashError> {
        Ok(())
    }

    fn list(&self) -> Result<Vec<RunInfo>, TrashError> {
        Ok(self.runs()?.iter().map(|run| self.info(run)).collect())
    }

    fn newest(&self) -> Result<String, TrashError> {
        let newest = self.runs()?.into_iter().rev().find(|run| run.has_list);
        let trash = || self.storage.root().join(TRASH);
        newest.map(|run| run.name).ok_or_else(|| TrashError::Empty(trash()))
    }

    fn held(&self, is_unfinished: bool) -> Result<Vec<HeldRun>, TrashError> {
        self.held_runs(is_unfinished)
    }

    fn marked(&self) -> Result<Vec<Move>, TrashError> {
        self.marked_moves()
    }

    fn undo(&self, _lock: &StorageLock, run: &str) -> Result<UndoReport, TrashError> {
        self.undo_run(run)
    }

    fn roll_back(
        &self,
        _lock: &StorageLock,
        run: &str,
        now: Timestamp,
    ) -> Result<UndoReport, TrashError> {
        self.roll_back_run(run, now)
    }

    fn purge(
        &self,
        _lock: &StorageLock,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError> {
        self.purge_runs(options, keep, false)
    }

    fn purge_one(&self, _lock: &StorageLock, run: &str) -> Result<PurgedRun, TrashError> {
        self.purge_named(run)
    }

    fn purge_preview(
        &self,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError> {
        self.purge_runs(options, keep, true)
    }

    fn summary(&self) -> TrashSummary {
        let mut summary = TrashSummary { last: self.read_last(), ..TrashSummary::default() };
        for run in self.list().unwrap_or_default() {
            summary.run_count += 1;
            summary.unfinished_count += u64::from(!matches!(run.state, RunState::Finished));
            summary.size_bytes = summary.size_bytes.saturating_add(run.size_bytes);
        }
        summary
    }

    fn record_last(&self, last: &LastRun) -> Result<(), TrashError> {
        self.write_last(last)
    }

    fn record_exit(
        &self,
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: u8,
    ) -> Result<(), TrashError> {
        let known = self.read_last();
        match LastRun::after_exit(known, started_at, ended_at, exit_code) {
            Some(last) => self.write_last(&last),
            None => Ok(()),
        }
    }
}
