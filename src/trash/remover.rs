//! What a storage of any kind offers to whoever deletes: a trash, and runs in it.
//!
//! One level above the calls of a file system: nothing here renames or makes a directory, so a bucket
//! can do it in its own way ([`super::object`]).

use std::io;
use std::path::Path;

use clap::ValueEnum;
use jiff::Timestamp;

use super::error::TrashError;
use super::held::HeldRun;
use super::list::RunInfo;
use super::lock::StorageLock;
use super::moves::Move;
use super::moves::RunSummary;
use super::purge::{self, PurgeOptions, PurgeReport, PurgedRun};
use super::run::{PutBack, RemovedDirectory, TrashRun};
use super::summary::{self, LastRun, TrashSummary};
use super::undo::{self, UndoReport};
use super::{held, list};
use crate::storage::{Content, FileFacts, Storage, StorageWriter};

/// How a run begins.
#[derive(Clone, Copy)]
pub struct BeginOptions<'a> {
    /// When.
    pub now: Timestamp,
    /// Whether what was written at that time, in nanoseconds since 1970, is too young to go.
    pub is_fresh: &'a dyn Fn(i64) -> bool,
    /// Things of the list, by their number, whose data must be readable while they are in the trash:
    /// manifests, which name what they need.
    pub must_be_readable: &'a dyn Fn(usize) -> bool,
}

/// What is to become of the data of deleted blobs in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Older versions or soft deletion where the bucket keeps them, else deferred
    #[default]
    Auto,
    /// Deleted at once; the bucket must keep older versions, or what was deleted
    Versions,
    /// Listed now and left in place; a purge looks again and deletes it
    Deferred,
    /// Copied into the trash first, then deleted
    Copy,
}

/// What becomes of the data of what goes, and when its space comes free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It is renamed into the trash; a purge frees it.
    Renamed,
    /// It is copied into the trash and deleted; a purge deletes the copy.
    Copied,
    /// It stays in its place, and a purge deletes it.
    Marked {
        /// How long a purge leaves it, in seconds, unless nothing else writes.
        margin_seconds: u64,
    },
    /// It is deleted, and the bucket keeps it as an older version; a purge deletes that.
    Versions,
    /// It is deleted, and the bucket keeps it by itself.
    Soft {
        /// For how long, in seconds.
        seconds: u64,
    },
}

/// A run under way: what it takes of its list is in the trash, and may come back.
pub trait Remover {
    /// Its name.
    fn run(&self) -> &str;

    /// How many things are best taken in one go.
    fn batch_size(&self) -> usize {
        1
    }

    /// Takes something of the list.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when it is not in the list; [`io::ErrorKind::NotFound`] when
    /// it is not there. It is in its place then.
    fn take(&self, path: &Path) -> io::Result<()>;

    /// Takes many, and gives for each how that ended, as [`Self::take`].
    fn take_all(&self, paths: &[&Path]) -> Vec<io::Result<()>> {
        paths.iter().map(|path| self.take(path)).collect()
    }

    /// Keeps links in the trash that the registry's own API will delete.
    ///
    /// # Errors
    /// As of [`Self::take`]; [`io::ErrorKind::FileTooLarge`] for more than a link.
    fn copy(&self, path: &Path) -> io::Result<()>;

    /// Puts something back in its place.
    ///
    /// # Errors
    /// Of the storage. What is taken, or not there, is an answer.
    fn put_back(&self, path: &Path) -> io::Result<PutBack>;

    /// The first `limit` bytes of a file that was taken, or lies in a directory that was.
    fn read_taken(&self, path: &Path, limit: u64) -> io::Result<Content>;

    /// What was taken of `path`, a name in the list or one below it.
    fn stat_taken(&self, path: &Path) -> io::Result<FileFacts>;

    /// Removes an empty directory of the list; undo makes it again.
    fn remove_empty_directory(&self, path: &Path) -> io::Result<RemovedDirectory>;

    /// Writes down that the run has come to its end, and what it did.
    ///
    /// # Errors
    /// When that cannot be written.
    fn finish(&self, summary: &RunSummary) -> Result<(), TrashError>;
}

/// A storage that may be changed, with the trash in it. Every call that changes it wants the lock.
pub trait Trash: Sync {
    /// What it holds.
    fn storage(&self) -> &dyn Storage;

    /// The calls of a file system, where it is one.
    fn writer(&self) -> Option<&dyn StorageWriter>;

    /// What becomes of the data of what goes.
    ///
    /// # Errors
    /// When a bucket does not say what it keeps, or does not keep what it is to.
    fn keeping(&self) -> Result<Keeping, TrashError> {
        Ok(Keeping::Renamed)
    }

    /// The time by the clock of whoever stamps the storage's files, in nanoseconds since 1970, or a little
    /// earlier; `None` where [`Self::writer`] can be asked, or when it is not known. The lock must be held.
    fn now_ns(&self) -> Option<i64> {
        None
    }

    /// Takes the lock that lets only one run change the storage.
    ///
    /// # Errors
    /// [`TrashError::Locked`] when another holds it.
    fn lock(&self) -> Result<StorageLock, TrashError>;

    /// Begins a run: its list is written before anything goes.
    ///
    /// # Errors
    /// Nothing was touched then.
    fn begin<'t>(
        &'t self,
        lock: &'t StorageLock,
        moves: &[Move],
        options: &BeginOptions<'_>,
    ) -> Result<Box<dyn Remover + 't>, TrashError>;

    /// Whether there is room for a run with this number of things.
    ///
    /// # Errors
    /// [`TrashError::NoRoom`].
    fn check_room(&self, move_count: u64) -> Result<(), TrashError>;

    /// As [`super::list()`].
    fn list(&self) -> Result<Vec<RunInfo>, TrashError>;
    /// As [`super::newest`].
    fn newest(&self) -> Result<String, TrashError>;
    /// As [`super::held()`].
    fn held(&self, is_unfinished: bool) -> Result<Vec<HeldRun>, TrashError>;
    /// What runs have only marked, and a purge will delete: things of a bucket, which lie in their place.
    ///
    /// # Errors
    /// When a list cannot be read.
    fn marked(&self) -> Result<Vec<Move>, TrashError> {
        Ok(Vec::new())
    }
    /// As [`super::undo()`].
    fn undo(&self, lock: &StorageLock, run: &str) -> Result<UndoReport, TrashError>;
    /// As [`super::roll_back`].
    fn roll_back(
        &self,
        lock: &StorageLock,
        run: &str,
        now: Timestamp,
    ) -> Result<UndoReport, TrashError>;
    /// As [`super::purge()`].
    fn purge(
        &self,
        lock: &StorageLock,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError>;
    /// As [`super::purge_one`].
    fn purge_one(&self, lock: &StorageLock, run: &str) -> Result<PurgedRun, TrashError>;
    /// As [`super::purge_preview`].
    fn purge_preview(
        &self,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError>;

    /// As [`super::summary()`].
    fn summary(&self) -> TrashSummary;
    /// As [`super::record_last`].
    fn record_last(&self, last: &LastRun) -> Result<(), TrashError>;
    /// As [`super::record_exit`].
    fn record_exit(
        &self,
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: u8,
    ) -> Result<(), TrashError>;
}

/// The trash of a storage on a file system: everything is renamed.
pub enum FileTrash<'s> {
    /// Of a storage that somebody else has.
    Of(&'s dyn StorageWriter),
    /// With its storage.
    With(Box<dyn StorageWriter + Send>),
}

impl FileTrash<'_> {
    fn files(&self) -> &dyn StorageWriter {
        match self {
            Self::Of(files) => *files,
            Self::With(files) => files.as_ref(),
        }
    }
}

impl Trash for FileTrash<'_> {
    fn storage(&self) -> &dyn Storage {
        self.files()
    }

    fn writer(&self) -> Option<&dyn StorageWriter> {
        Some(self.files())
    }

    fn lock(&self) -> Result<StorageLock, TrashError> {
        StorageLock::take(self.files())
    }

    fn begin<'t>(
        &'t self,
        lock: &'t StorageLock,
        moves: &[Move],
        options: &BeginOptions<'_>,
    ) -> Result<Box<dyn Remover + 't>, TrashError> {
        Ok(Box::new(TrashRun::begin(self.files(), lock, options.now, moves)?))
    }

    fn check_room(&self, move_count: u64) -> Result<(), TrashError> {
        TrashRun::check_room(self.files(), move_count)
    }

    fn list(&self) -> Result<Vec<RunInfo>, TrashError> {
        list::list(self.files())
    }

    fn newest(&self) -> Result<String, TrashError> {
        list::newest(self.files())
    }

    fn held(&self, is_unfinished: bool) -> Result<Vec<HeldRun>, TrashError> {
        held::held(self.files(), is_unfinished)
    }

    fn undo(&self, lock: &StorageLock, run: &str) -> Result<UndoReport, TrashError> {
        undo::undo(self.files(), lock, run)
    }

    fn roll_back(
        &self,
        lock: &StorageLock,
        run: &str,
        now: Timestamp,
    ) -> Result<UndoReport, TrashError> {
        undo::roll_back(self.files(), lock, run, now)
    }

    fn purge(
        &self,
        lock: &StorageLock,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError> {
        purge::purge(self.files(), lock, options, keep)
    }

    fn purge_one(&self, lock: &StorageLock, run: &str) -> Result<PurgedRun, TrashError> {
        purge::purge_one(self.files(), lock, run)
    }

    fn purge_preview(
        &self,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
    ) -> Result<PurgeReport, TrashError> {
        purge::purge_preview(self.files(), options, keep)
    }

    fn summary(&self) -> TrashSummary {
        summary::summary(self.files())
    }

    fn record_last(&self, last: &LastRun) -> Result<(), TrashError> {
        summary::record_last(self.files(), last)
    }

    fn record_exit(
        &self,
        started_at: Timestamp,
        ended_at: Timestamp,
        exit_code: u8,
    ) -> Result<(), TrashError> {
        summary::record_exit(self.files(), started_at, ended_at, exit_code)
    }
}

impl Remover for TrashRun<'_> {
    fn run(&self) -> &str {
        TrashRun::run(self)
    }

    fn take(&self, path: &Path) -> io::Result<()> {
        TrashRun::take(self, path)
    }

    fn copy(&self, path: &Path) -> io::Result<()> {
        TrashRun::copy(self, path)
    }

    fn put_back(&self, path: &Path) -> io::Result<PutBack> {
        TrashRun::put_back(self, path)
    }

    fn read_taken(&self, path: &Path, limit: u64) -> io::Result<Content> {
        TrashRun::read_taken(self, path, limit)
    }

    fn stat_taken(&self, path: &Path) -> io::Result<FileFacts> {
        TrashRun::stat_taken(self, path)
    }

    fn remove_empty_directory(&self, path: &Path) -> io::Result<RemovedDirectory> {
        TrashRun::remove_empty_directory(self, path)
    }

    fn finish(&self, summary: &RunSummary) -> Result<(), TrashError> {
        TrashRun::finish(self, summary)
    }
}
