//! One run: its list of moves is on disk first, then things go into the trash and come back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::destination::Destination;
use super::error::TrashError;
use super::files::{error_at, exists, missing_is_fine, read_list, remove_half_done};
use super::in_place::is_in_place;
use super::list::next_sequence;
use super::lock::StorageLock;
use super::moves::{self, MAX_MOVES_BYTES, Move, MoveKind, RunHeader, RunSummary, SCHEMA};
use super::paths::{COPYING, DONE, FILES, GONE, MOVES, OWN, PARTIAL, TRASH, run_directory};
use super::reserve::{self, is_full, with_reserve};
use super::tree::{create_if_missing, remove_tree};
use crate::storage::{Access, Content, FileFacts, FileKind, MAX_DEPTH, Storage, StorageWriter};

/// A line of the list, and the name in its directory.
const LISTED_BYTES: u64 = 110;
/// What the smallest directory takes on most file systems.
const BLOCK_BYTES: u64 = 4096;
/// Directories and small files that every run has.
const RUN_DIRECTORIES: u64 = 8;

/// Runs that may begin in one second.
const MAX_RUNS_A_SECOND: u32 = 99;

/// A run, and the storage that it may change.
pub struct TrashRun<'s> {
    storage: &'s dyn StorageWriter,
    _lock: &'s StorageLock,
    run: String,
    directory: PathBuf,
    /// Where things of the list lie: what is not in it could not be put back.
    destination: Destination,
    /// Whose the directories of the list were.
    accesses: HashMap<PathBuf, Access>,
    /// Makes names for what is being copied or discarded.
    counter: AtomicU64,
}

/// How putting something back ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is in its place.
    Done,
    /// Something else is in its place; the trash keeps it.
    PlaceTaken,
    /// It is not in the trash.
    NotThere,
}

/// How removing an empty directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovedDirectory {
    /// It is gone.
    Done,
    /// Something is in it, so it stays.
    NotEmpty,
    /// It was not there.
    NotThere,
}

impl<'s> TrashRun<'s> {
    /// Writes the list of `moves`, in the order in which they will be made, and waits until it is
    /// on disk. Nothing is moved yet.
    ///
    /// # Errors
    /// When one of them could not be renamed into the trash or put back from it, or the list
    /// cannot be written. What was made for it is removed again.
    pub fn begin(
        storage: &'s dyn StorageWriter,
        lock: &'s StorageLock,
        now: Timestamp,
        moves: &[Move],
    ) -> Result<Self, TrashError> {
        moves::check(storage.layout(), moves)?;
        match Self::try_begin(storage, lock, now, moves) {
            Err(TrashError::Write { source, .. })
                if is_full(&source) && reserve::release(storage) =>
            {
                Self::try_begin(storage, lock, now, moves)
            }
            begun => begun,
        }
    }

    fn try_begin(
        storage: &'s dyn StorageWriter,
        lock: &'s StorageLock,
        now: Timestamp,
        moves: &[Move],
    ) -> Result<Self, TrashError> {
        let write = |path: &Path| error_at(storage, path);
        for directory in [OWN, TRASH] {
            let directory = Path::new(directory);
            create_if_missing(storage, directory).map_err(write(directory))?;
        }
        check_mounts(storage, moves)?;
        let (run, directory) = create_run(storage, now)?;
        let sequence = next_sequence(storage)?;
        let header = RunHeader::new(&run, sequence, storage.root(), now, moves);
        let accesses = accesses_on_disk(storage, moves);
        if let Err(error) = write_list(storage, &directory, &header, moves, &accesses) {
            // Nothing was moved, so nothing is lost with it.
            for file in [MOVES.to_owned(), [MOVES, PARTIAL].concat()] {
                drop(storage.remove_file(&directory.join(file)));
            }
            drop(storage.remove_directory(&directory.join(FILES)));
            drop(storage.remove_directory(&directory));
            return Err(error);
        }
        let destination = Destination::new(&directory, SCHEMA, moves);
        Ok(Self::new(storage, lock, run, directory, destination, accesses))
    }

    /// Whether there is room for a run with so many moves. What the file system does not say is taken
    /// for room.
    ///
    /// # Errors
    /// [`TrashError::NoRoom`].
    pub fn check_room(storage: &dyn StorageWriter, move_count: u64) -> Result<(), TrashError> {
        let needed_bytes =
            move_count.saturating_mul(LISTED_BYTES).saturating_add(RUN_DIRECTORIES * BLOCK_BYTES);
        let free_bytes = storage.free_bytes();
        match free_bytes.map(|free| free.saturating_add(reserve::size_bytes(storage))) {
            Ok(free_bytes) if free_bytes < needed_bytes => Err(TrashError::NoRoom {
                root: storage.root().to_owned(),
                needed_bytes,
                free_bytes,
            }),
            _ => Ok(()),
        }
    }

    /// Opens a run that began before, and its list. What a killed process left half copied or half
    /// removed in its directory goes.
    ///
    /// # Errors
    /// When there is none of that name, or its list is damaged.
    pub fn open(
        storage: &'s dyn StorageWriter,
        lock: &'s StorageLock,
        run: &str,
    ) -> Result<(Self, RunHeader, Vec<Move>), TrashError> {
        let directory = existing(storage, run)?;
        let (header, moves) = read_list(storage, &directory)?;
        remove_half_done(storage, &directory).map_err(error_at(storage, &directory))?;
        let accesses =
            moves.iter().filter_map(|item| Some((item.path.clone(), item.access?))).collect();
        let destination = Destination::new(&directory, header.schema, &moves);
        let opened = Self::new(storage, lock, run.to_owned(), directory, destination, accesses);
        Ok((opened, header, moves))
    }

    fn new(
        storage: &'s dyn StorageWriter,
        lock: &'s StorageLock,
        run: String,
        directory: PathBuf,
        destination: Destination,
        accesses: HashMap<PathBuf, Access>,
    ) -> Self {
        let counter = AtomicU64::new(0);
        Self { storage, _lock: lock, run, directory, destination, accesses, counter }
    }

    /// Its name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Renames something of the list into the trash.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when it is not in the list; [`io::ErrorKind::NotFound`] when
    /// it is not there; [`io::ErrorKind::AlreadyExists`] when it was taken before.
    pub fn take(&self, path: &Path) -> io::Result<()> {
        let taken = self.place_for(path)?;
        with_reserve(self.storage, || self.storage.rename_new(path, &taken))
    }

    /// Copies something small of the list into the trash, a file or a directory of files, and waits
    /// until it is on disk: for links that the registry's own API will delete.
    ///
    /// # Errors
    /// As [`Self::take`]; [`io::ErrorKind::FileTooLarge`] for a file above 64 KiB.
    pub fn copy(&self, path: &Path) -> io::Result<()> {
        let taken = self.place_for(path)?;
        // Half a copy must never look like what was there.
        let copy = with_reserve(self.storage, || {
            let copy = self.work_name(COPYING);
            self.copy_tree(path, &copy, MAX_DEPTH)?;
            Ok(copy)
        })?;
        self.storage.rename_new(&copy, &taken)?;
        self.storage.sync_directory(taken.parent().unwrap_or(&self.directory))
    }

    fn copy_tree(&self, from: &Path, to: &Path, depth: usize) -> io::Result<()> {
        match self.storage.stat(from)?.kind {
            FileKind::Directory if depth > 0 => {
                self.storage.create_directory_as(to, self.storage.access(from)?)?;
                for entry in self.storage.list(from)? {
                    let name = &entry.name;
                    self.copy_tree(&from.join(name), &to.join(name), depth - 1)?;
                }
                self.storage.sync_directory(to)
            }
            FileKind::File => self.storage.copy_new(from, to),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file or directory")),
        }
    }

    /// Moves something back to its place and makes the parents that it lacks there. An empty
    /// directory in its place makes way for a directory.
    ///
    /// # Errors
    /// Of the renames. What is taken, or not there, is an answer.
    pub fn put_back(&self, path: &Path) -> io::Result<PutBack> {
        self.must_be_listed(path)?;
        let taken = self.taken(path);
        let first = match self.storage.rename_new(&taken, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !exists(self.storage, &taken)? {
                    return Ok(PutBack::NotThere);
                }
                match self.create_directory(path.parent().ok_or(error)?) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
                self.storage.rename_new(&taken, path)
            }
            other => other,
        };
        match first {
            Ok(()) => Ok(PutBack::Done),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.make_way(path, &taken)? {
                    self.storage.rename_new(&taken, path)?;
                    return Ok(PutBack::Done);
                }
                let is_filled = self.fill(path, &taken)?;
                Ok(if is_filled { PutBack::Done } else { PutBack::PlaceTaken })
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a directory of the storage again and the parents it lacks: for whom it was for, if that
    /// is in the list, else for whom its parent is. A registry of another user writes there next.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when it is there.
    pub(super) fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let of_parent = match self.storage.access(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.create_directory(parent) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => self.storage.access(parent)?,
                }
            }
            access => access?,
        };
        let access = self.accesses.get(directory).copied().unwrap_or(of_parent);
        self.storage.create_directory_as(directory, access)
    }

    /// Removes an empty directory that stands where a directory is to be put back: the registry's
    /// own API leaves one where it deleted a link.
    fn make_way(&self, path: &Path, taken: &Path) -> io::Result<bool> {
        let is_directory = |facts: FileFacts| facts.kind == FileKind::Directory;
        if !is_directory(self.storage.stat(taken)?) || !is_directory(self.storage.stat(path)?) {
            return Ok(false);
        }
        match self.storage.remove_directory(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves what was taken into a directory that has none of its files: one in which nothing is but files
    /// that are still being written, or whose writer was killed, or which an undo was killed in. What stands
    /// there stays. Says whether all is in its place.
    fn fill(&self, path: &Path, taken: &Path) -> io::Result<bool> {
        Ok(self.has_room_for(path, taken, MAX_DEPTH)? && self.move_into(path, taken, MAX_DEPTH)?)
    }

    /// Whether no file at `taken` has a name that something stands at below `path`.
    fn has_room_for(&self, path: &Path, taken: &Path, depth: usize) -> io::Result<bool> {
        let kind = match self.storage.stat(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            facts => facts?.kind,
        };
        let is_both = kind == FileKind::Directory
            && self.storage.stat(taken)?.kind == FileKind::Directory
            && depth > 0;
        if !is_both {
            return Ok(false);
        }
        for entry in self.storage.list(taken)? {
            let (path, taken) = (path.join(&entry.name), taken.join(&entry.name));
            if !self.has_room_for(&path, &taken, depth - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn move_into(&self, path: &Path, taken: &Path, depth: usize) -> io::Result<bool> {
        let mut entries = self.storage.list(taken)?;
        // What a tag remembers comes before the tag itself, and signatures before the link that they are of: a
        // kill in between leaves what the next undo completes.
        entries.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        for entry in entries {
            let (path, taken) = (path.join(&entry.name), taken.join(&entry.name));
            let is_moved = match self.storage.rename_new(&taken, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // A file is one whose writer has come to its end.
                    entry.kind == FileKind::Directory
                        && depth > 0
                        && self.storage.stat(&path)?.kind == FileKind::Directory
                        && self.move_into(&path, &taken, depth - 1)?
                }
                renamed => renamed.map(|()| true)?,
            };
            if !is_moved {
                return Ok(false);
            }
        }
        self.storage.remove_directory(taken)?;
        Ok(true)
    }

    /// Removes something from the trash for good if its place has it: the registry did not delete
    /// what was copied, or it was pushed again. False when something else is there.
    pub(super) fn discard_needless(&self, item: &Move) -> io::Result<bool> {
        let taken = self.taken(&item.path);
        if !is_in_place(self.storage, item, &taken)? {
            return Ok(false);
        }
        // Half of it must never be put back.
        let gone = self.work_name(GONE);
        self.storage.rename_new(&taken, &gone)?;
        remove_tree(self.storage, &gone)?;
        Ok(true)
    }

    fn work_name(&self, prefix: &str) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{prefix}{number}"))
    }

    /// The first `limit` bytes of a file that was taken, or lies in a directory that was.
    pub fn read_taken(&self, path: &Path, limit: u64) -> io::Result<Content> {
        self.storage.read(&self.taken(path), limit)
    }

    /// What lies in the trash for `path`, a name that was taken or one below it.
    pub fn stat_taken(&self, path: &Path) -> io::Result<FileFacts> {
        self.storage.stat(&self.taken(path))
    }

    /// Removes an empty directory of the list; undo makes it again.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when it is not in the list.
    pub fn remove_empty_directory(&self, path: &Path) -> io::Result<RemovedDirectory> {
        self.must_be_listed(path)?;
        match self.storage.remove_directory(path) {
            Ok(()) => Ok(RemovedDirectory::Done),
            Err(error) => match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => Ok(RemovedDirectory::NotEmpty),
                io::ErrorKind::NotFound => Ok(RemovedDirectory::NotThere),
                _ => Err(error),
            },
        }
    }

    /// Writes down that the run has come to its end, and what it did. A run that is resumed may end
    /// twice.
    pub fn finish(&self, summary: &RunSummary) -> Result<(), TrashError> {
        let done = self.directory.join(DONE);
        let partial = self.directory.join([DONE, PARTIAL].concat());
        let write = || -> io::Result<()> {
            for old in [&partial, &done] {
                missing_is_fine(self.storage.remove_file(old))?;
            }
            let mut bytes = serde_json::to_vec(summary)?;
            bytes.push(b'\n');
            self.storage.write_new(&partial, &bytes)?;
            self.storage.rename_new(&partial, &done)?;
            self.storage.sync_directory(&self.directory)
        };
        with_reserve(self.storage, write).map_err(error_at(self.storage, &done))
    }

    pub(super) fn taken(&self, path: &Path) -> PathBuf {
        self.destination.of_path(path)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn must_be_listed(&self, path: &Path) -> io::Result<()> {
        if self.destination.has(path) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not in the run's list of moves"))
    }

    /// Where `path` goes in the trash.
    fn place_for(&self, path: &Path) -> io::Result<PathBuf> {
        self.must_be_listed(path)?;
        Ok(self.taken(path))
    }
}

/// Whose the directories are that undo will have to make again.
fn accesses_on_disk(storage: &dyn StorageWriter, moves: &[Move]) -> HashMap<PathBuf, Access> {
    let directories = moves.iter().filter(|item| item.kind == MoveKind::Directory);
    // One that is missing or forbidden cannot be removed either.
    directories
        .filter_map(|item| Some((item.path.clone(), storage.access(&item.path).ok()?)))
        .collect()
}

/// Nothing is moved when something could not be: each mount that a rename starts from is compared.
fn check_mounts(storage: &dyn StorageWriter, moves: &[Move]) -> Result<(), TrashError> {
    let trash = Path::new(TRASH);
    let own = storage
        .mount_of(trash)
        .map_err(|source| TrashError::Read { path: storage.root().join(trash), source })?;
    let layout = storage.layout();
    let (blobs, repositories) = (layout.blobs(), layout.repositories());
    let mut directories: HashSet<&Path> =
        moves.iter().filter_map(|item| item.path.parent()).collect();
    directories.extend([blobs.as_path(), repositories.as_path()]);
    let mut directories: Vec<&Path> = directories.into_iter().collect();
    // The outermost is the mount to be told of.
    directories.sort_unstable();
    for directory in directories {
        match storage.mount_of(directory) {
            Ok(mount) if mount != own => {
                return Err(TrashError::OtherMount {
                    path: storage.root().join(directory),
                    trash: storage.root().join(trash),
                });
            }
            // What is missing or forbidden cannot be taken; that is told when it is tried.
            _ => {}
        }
    }
    Ok(())
}

/// The run's name and directory: the time, and a number when it is taken.
fn create_run(
    storage: &dyn StorageWriter,
    now: Timestamp,
) -> Result<(String, PathBuf), TrashError> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut number = 1;
    loop {
        let run = if number == 1 { time.clone() } else { format!("{time}-{number:02}") };
        let directory = Path::new(TRASH).join(&run);
        match storage.create_directory(&directory) {
            Ok(()) => return Ok((run, directory)),
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_RUNS_A_SECOND =>
            {
                number += 1;
            }
            Err(source) => return Err(error_at(storage, &directory)(source)),
        }
    }
}

fn write_list(
    storage: &dyn StorageWriter,
    directory: &Path,
    header: &RunHeader,
    moves: &[Move],
    accesses: &HashMap<PathBuf, Access>,
) -> Result<(), TrashError> {
    let with_access = |item| -> Cow<'_, Move> {
        let item: &Move = item;
        match accesses.get(&item.path) {
            None => Cow::Borrowed(item),
            access => Cow::Owned(Move { access: access.copied(), ..item.clone() }),
        }
    };
    let list = directory.join(MOVES);
    let partial = directory.join([MOVES, PARTIAL].concat());
    let write = || -> io::Result<()> {
        storage.create_directory(&directory.join(FILES))?;
        storage.write_new_with(&partial, &mut |out| {
            let moves = moves.iter().map(with_access);
            moves::write(out, header, storage.layout(), moves, MAX_MOVES_BYTES)
        })?;
        storage.rename_new(&partial, &list)?;
        for made in [directory, Path::new(TRASH), Path::new(OWN), Path::new("")] {
            storage.sync_directory(made)?;
        }
        Ok(())
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => {
            TrashError::TooMany { path: storage.root().join(&list), limit_bytes: MAX_MOVES_BYTES }
        }
        _ => error_at(storage, &list)(source),
    })
}

/// The directory of a run that is there.
pub(super) fn existing(storage: &dyn Storage, run: &str) -> Result<PathBuf, TrashError> {
    let directory = run_directory(run).ok_or_else(|| TrashError::NotARunName(run.into()))?;
    match storage.stat(&directory) {
        Ok(_) => Ok(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(TrashError::NoRun { run: run.into(), trash: storage.root().join(TRASH) })
        }
        Err(source) => Err(TrashError::Read { path: storage.root().join(directory), source }),
    }
}
