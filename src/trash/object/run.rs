//! A run under way in a bucket.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ObjectTrash;
use super::journal::{Done, Entry, Fate, Journal};
use super::requests::{delete_all, io_error, parallel};
use super::restore::{Restored, read_entry};
use crate::storage::object::{Abilities, BucketError, BucketErrorKind, DeleteCondition, Object};
use crate::storage::{Content, FileFacts, FileKind};
use crate::trash::error::TrashError;
use crate::trash::moves::{MoveKind, RunSummary};
use crate::trash::remover::Remover;
use crate::trash::run::{PutBack, RemovedDirectory};

/// Things taken in one go, and keys deleted in one: some requests of S3 at once, within the time of a lease.
pub(super) const BATCH: usize = 4000;

/// Why things of the list cannot go, by their number.
pub(super) type Refused = HashMap<usize, String>;

/// A run, and what it has taken so far.
pub struct ObjectRun<'t> {
    trash: &'t ObjectTrash,
    journal: Journal,
    abilities: Abilities,
    /// Why things of the list cannot go.
    refused: Refused,
    numbers: HashMap<u64, usize>,
    hasher: RandomState,
    /// Which things of the list are taken.
    taken: Mutex<Vec<bool>>,
}

/// Notes when it is dropped that the storage has changed.
struct Noted<'t>(&'t ObjectTrash);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.note_change();
    }
}

/// How taking one object ended.
type Taken = Result<(), BucketError>;

impl<'t> ObjectRun<'t> {
    pub(super) fn new(
        trash: &'t ObjectTrash,
        journal: Journal,
        abilities: Abilities,
        refused: Refused,
    ) -> Self {
        let hasher = RandomState::new();
        let all = journal.moves.iter().enumerate();
        let numbers = all.map(|(number, item)| (hasher.hash_one(&item.path), number)).collect();
        let taken = Mutex::new(vec![false; journal.moves.len()]);
        Self { trash, journal, abilities, refused, numbers, hasher, taken }
    }

    fn number(&self, path: &Path) -> io::Result<usize> {
        self.numbers.get(&self.hasher.hash_one(path)).copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "it is not in the run's list of moves")
        })
    }

    fn taken(&self) -> MutexGuard<'_, Vec<bool>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, entry: &Entry) -> String {
        self.trash.key_of_entry(&self.journal.moves, entry)
    }

    /// The object of the list at `path`, which is a name in the list or one below it.
    fn entry_at(&self, path: &Path) -> io::Result<&Entry> {
        let number = path.ancestors().find_map(|above| self.number(above).ok());
        let entries = number.map(|number| self.journal.entries_of(number)).unwrap_or_default();
        let found = entries.iter().find(|entry| self.journal.path_of(entry) == path);
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes things by their numbers; gives the failures.
    fn take_numbers(&self, numbers: &[usize]) -> HashMap<usize, io::Error> {
        let mut failed: HashMap<usize, io::Error> = HashMap::new();
        let mut note = |item: usize, error: BucketError| {
            failed.entry(item).or_insert_with(|| io_error(error));
        };
        let entries: Vec<&Entry> =
            numbers.iter().flat_map(|number| self.journal.entries_of(*number)).collect();
        let of = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<&Entry> {
            entries.iter().copied().filter(|entry| wanted(entry)).collect()
        };
        // Marks change nothing.
        let changes = entries.iter().any(|entry| !matches!(entry.fate, Fate::Marked | Fate::Parts));
        let _noted = changes.then(|| Noted(self.trash));
        // First what must still be what was listed.
        let tags = of(&|entry| self.is_tag(entry));
        for (entry, result) in tags.iter().zip(parallel(&tags, |entry| self.delete_tag(entry))) {
            if let Err(error) = result {
                note(entry.item, error);
            }
        }
        if !self.trash.options.is_quiet {
            let links = of(&|entry| entry.fate == Fate::Listed && !self.is_tag(entry));
            for (entry, result) in
                links.iter().zip(parallel(&links, |entry| self.must_be_same(entry)))
            {
                if let Err(error) = result {
                    note(entry.item, error);
                }
            }
        }
        let copied = of(&|entry| entry.fate == Fate::Copied);
        for (entry, result) in copied
            .iter()
            .zip(parallel(&copied, |entry| self.trash.copy_aside(&self.journal, entry)))
        {
            if let Err(error) = result {
                note(entry.item, error);
            }
        }
        let rest = of(&|entry| {
            let goes =
                matches!(entry.fate, Fate::Listed | Fate::Version | Fate::Soft | Fate::Copied);
            goes && !self.is_tag(entry) && !failed.contains_key(&entry.item)
        });
        let keys: Vec<(String, Option<String>)> =
            rest.iter().map(|entry| (self.key(entry), None)).collect();
        if !keys.is_empty() {
            let by_key: HashMap<&str, usize> = keys
                .iter()
                .zip(&rest)
                .map(|((key, _), entry)| (key.as_str(), entry.item))
                .collect();
            for (key, error) in delete_all(self.trash.bucket(), &keys) {
                if let Some(item) = by_key.get(key.as_str()) {
                    failed.entry(*item).or_insert_with(|| io_error(error));
                }
            }
        }
        // What went of something that could not go whole comes back.
        let broken: Vec<usize> = failed.keys().copied().collect();
        let came_back = parallel(&broken, |item| self.trash.restore_item(&self.journal, *item));
        for (item, result) in broken.into_iter().zip(came_back) {
            if let (Err(error), Some(failure)) = (result, failed.get_mut(&item)) {
                *failure = io::Error::other(format!("{failure}; and it may be gone: {error}"));
            }
        }
        failed
    }

    fn is_tag(&self, entry: &Entry) -> bool {
        self.journal.moves[entry.item].kind == MoveKind::Tag && entry.below == "current/link"
    }

    /// A tag may be pushed at any moment: it goes only if it is still what was listed.
    fn delete_tag(&self, entry: &Entry) -> Taken {
        let key = self.key(entry);
        let bucket = self.trash.bucket();
        let Abilities { deletes_by_etag, deletes_by_version, version_deletes_are_final, .. } =
            self.abilities;
        let condition = match (&entry.etag, &entry.version) {
            (_, Some(version)) if deletes_by_version && !version_deletes_are_final => {
                DeleteCondition::Version(version)
            }
            (Some(etag), _) if deletes_by_etag => {
                // The same content pushed again has the same entity tag.
                if !self.trash.options.is_quiet {
                    self.must_be_same(entry)?;
                }
                DeleteCondition::Etag(etag)
            }
            _ if self.trash.options.is_quiet => {
                self.must_be_same(entry)?;
                DeleteCondition::Whatever
            }
            _ => {
                return Err(BucketError::new(
                    BucketErrorKind::Unsupported,
                    "DELETE",
                    bucket.url(),
                    &key,
                    "this bucket binds no deletion to a condition, so a tag that is pushed at the same \
                     moment could be lost: stop the registry or make it read-only first",
                ));
            }
        };
        bucket.delete(&key, condition)
    }

    /// Nothing else may have written it since it was listed. Some servers give a time of whole seconds
    /// in one answer and a part of one in another.
    fn must_be_same(&self, entry: &Entry) -> Taken {
        const SECOND: i64 = 1_000_000_000;
        let key = self.key(entry);
        let is_same = |now: &Object| {
            now.etag == entry.etag
                && now.size_bytes == entry.size_bytes
                && now.modified_ns.div_euclid(SECOND) == entry.modified_ns.div_euclid(SECOND)
        };
        match self.trash.bucket().head(&key)? {
            Some(now) if is_same(&now) => Ok(()),
            found => {
                let (kind, reason) = match found {
                    None => (BucketErrorKind::NotFound, "it is gone already"),
                    Some(_) => (BucketErrorKind::Changed, "it was written after it was listed"),
                };
                Err(BucketError::new(kind, "DELETE", self.trash.bucket().url(), &key, reason))
            }
        }
    }
}

impl Remover for ObjectRun<'_> {
    fn run(&self) -> &str {
        &self.journal.header.run
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn take(&self, path: &Path) -> io::Result<()> {
        self.take_all(&[path]).pop().unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()))
    }

    fn take_all(&self, paths: &[&Path]) -> Vec<io::Result<()>> {
        let mut results: Vec<io::Result<usize>> = paths
            .iter()
            .map(|path| {
                self.trash.must_hold_lock()?;
                let number = self.number(path)?;
                if let Some(reason) = self.refused.get(&number) {
                    return Err(io::Error::other(reason.clone()));
                }
                if self.journal.entries_of(number).is_empty() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                Ok(number)
            })
            .collect();
        let numbers: Vec<usize> =
            results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
        let mut failed = self.take_numbers(&numbers);
        for result in &mut results {
            let error = result.as_ref().ok().and_then(|number| failed.remove(number));
            if let Some(error) = error {
                *result = Err(error);
            }
        }
        let mut taken = self.taken();
        results
            .into_iter()
            .map(|result| {
                taken[result?] = true;
                Ok(())
            })
            .collect()
    }

    /// The list has the content of links already.
    fn copy(&self, path: &Path) -> io::Result<()> {
        self.trash.must_hold_lock()?;
        let number = self.number(path)?;
        let entries = self.journal.entries_of(number);
        if let Some(reason) = self.refused.get(&number) {
            return Err(io::Error::other(reason.clone()));
        }
        if entries.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if entries.iter().any(|entry| entry.fate != Fate::Listed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        for entry in entries {
            self.must_be_same(entry).map_err(io_error)?;
        }
        self.taken()[number] = true;
        Ok(())
    }

    fn put_back(&self, path: &Path) -> io::Result<PutBack> {
        let number = self.number(path)?;
        let is_taken = self.taken()[number];
        let _noted = Noted(self.trash);
        let restored = self.trash.restore_item(&self.journal, number).map_err(io_error)?;
        self.taken()[number] = false;
        Ok(match restored {
            Restored::Missing if is_taken => {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the bucket has lost it"));
            }
            Restored::Conflict => PutBack::PlaceTaken,
            Restored::Done | Restored::InPlace if is_taken => PutBack::Done,
            Restored::Missing | Restored::Done | Restored::InPlace => PutBack::NotThere,
        })
    }

    fn read_taken(&self, path: &Path, limit: u64) -> io::Result<Content> {
        let entry = self.entry_at(path)?;
        read_entry(self.trash.bucket(), self.trash.storage.prefix(), &self.journal, entry, limit)
    }

    /// What was listed: whatever was written later is not what went.
    fn stat_taken(&self, path: &Path) -> io::Result<FileFacts> {
        let entry = self.entry_at(path)?;
        let (storage, layout) = (&self.trash.storage, self.trash.storage.layout());
        let template =
            storage.stat(&layout.repositories()).or_else(|_| storage.stat(&layout.blobs()));
        Ok(FileFacts {
            kind: FileKind::File,
            size_bytes: entry.size_bytes,
            allocated_bytes: entry.size_bytes,
            modified_ns: entry.modified_ns,
            changed_ns: entry.modified_ns,
            ..template?
        })
    }

    /// There are no directories, only names of objects.
    fn remove_empty_directory(&self, path: &Path) -> io::Result<RemovedDirectory> {
        self.number(path)?;
        match self.trash.storage.stat(path) {
            Ok(_) => Ok(RemovedDirectory::NotEmpty),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RemovedDirectory::Done),
            Err(error) => Err(error),
        }
    }

    fn finish(&self, summary: &RunSummary) -> Result<(), TrashError> {
        let taken = self.taken();
        let all = self.journal.moves.iter().zip(taken.iter()).enumerate();
        let stayed = all
            .filter(|(_, (item, is_taken))| item.kind != MoveKind::Directory && !**is_taken)
            .map(|(number, _)| number)
            .collect();
        let done = Done { summary: summary.clone(), stayed };
        self.trash.write_done(self.run(), &done)
    }
}
