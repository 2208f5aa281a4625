//! Putting back what a run took out of a bucket.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::ObjectTrash;
use super::journal::{Done, Entry, Fate, Journal};
use super::requests::{delete_all, error_at, forget_versions, io_error, parallel, write};
use crate::model::Digest;
use crate::storage::object::{Bucket, BucketError, BucketErrorKind, Object, PutCondition};
use crate::storage::{Content, sha256};
use crate::trash::error::TrashError;
use crate::trash::moves::{Counts, Move, MoveKind, RunSummary};
use crate::trash::paths::{DONE, FILES, MOVES, TRASH, run_directory};
use crate::trash::tree::Left;
use crate::trash::undo::UndoReport;

/// How putting something back ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// It is in its place, and was not before; or it is no longer marked.
    Done,
    /// It was in its place already.
    InPlace,
    /// Something else is in its place.
    Conflict,
    /// Neither the bucket nor the list has it.
    Missing,
}

/// Failures after which the rest is not tried.
const MAX_FAILURES: usize = 20;

/// Where the copy of an object lies, below the root.
pub(super) fn copy_key(journal: &Journal, entry: &Entry) -> String {
    let Entry { item, below, .. } = entry;
    let run = &journal.header.run;
    if below.is_empty() {
        format!("{TRASH}/{run}/{FILES}/{item}")
    } else {
        format!("{TRASH}/{run}/{FILES}/{item}/{below}")
    }
}

impl ObjectTrash {
    /// Puts back all objects of a thing of the list; what makes it visible comes last.
    pub(super) fn restore_item(
        &self,
        journal: &Journal,
        number: usize,
    ) -> Result<Restored, BucketError> {
        let mut all = Restored::InPlace;
        for entry in journal.entries_of(number).iter().rev() {
            let restored = self.restore_entry(journal, entry)?;
            all = match (all, restored) {
                (Restored::Missing, _) | (_, Restored::Missing) => Restored::Missing,
                (Restored::Conflict, _) | (_, Restored::Conflict) => Restored::Conflict,
                (Restored::Done, _) | (_, Restored::Done) => Restored::Done,
                _ => Restored::InPlace,
            };
        }
        Ok(all)
    }

    fn restore_entry(&self, journal: &Journal, entry: &Entry) -> Result<Restored, BucketError> {
        let bucket = self.bucket();
        let key = self.key_of_entry(&journal.moves, entry);
        match entry.fate {
            Fate::Listed => self.put_content(&key, entry),
            // It never went; that it is marked ends with the run.
            Fate::Parts => Ok(Restored::Done),
            Fate::Marked | Fate::Copied => match bucket.head(&key)? {
                Some(there) if entry.fate == Fate::Marked && is_alike(&there, entry) => {
                    Ok(Restored::Done)
                }
                Some(there) => Ok(self.compare(journal, entry, &there)),
                None => self.copy_back(journal, entry, &key),
            },
            Fate::Version | Fate::Soft => {
                let version = entry.version.as_deref().unwrap_or_default();
                match bucket.restore(&key, version) {
                    Ok(()) => Ok(Restored::Done),
                    Err(error) if error.kind == BucketErrorKind::Changed => {
                        match bucket.head(&key)? {
                            Some(there) => Ok(self.compare(journal, entry, &there)),
                            None => Err(error),
                        }
                    }
                    Err(error) if error.kind == BucketErrorKind::NotFound => {
                        match (bucket.head(&key)?, &entry.content) {
                            (Some(there), _) => Ok(self.compare(journal, entry, &there)),
                            (None, Some(_)) => self.put_content(&key, entry),
                            (None, None) => Ok(Restored::Missing),
                        }
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Writes an object whose content is in the list, if nothing has its key.
    fn put_content(&self, key: &str, entry: &Entry) -> Result<Restored, BucketError> {
        let content = entry.content.as_deref().unwrap_or_default();
        match self.bucket().put(key, content, PutCondition::Absent) {
            Ok(_) => Ok(Restored::Done),
            Err(error) if error.kind == BucketErrorKind::Changed => {
                let there = self.bucket().get(key, None, None)?;
                Ok(if there == content { Restored::InPlace } else { Restored::Conflict })
            }
            Err(error) => Err(error),
        }
    }

    /// Copies an object beside the list of the run, and only that which was listed.
    pub(super) fn copy_aside(&self, journal: &Journal, entry: &Entry) -> Result<(), BucketError> {
        let from = Object {
            key: self.key_of_entry(&journal.moves, entry),
            size_bytes: entry.size_bytes,
            modified_ns: entry.modified_ns,
            etag: entry.etag.clone(),
            md5: None,
            version: entry.version.clone(),
            storage_class: None,
        };
        let to = self.own_key(&copy_key(journal, entry));
        match self.bucket().copy(&from, &to) {
            // An attempt before this one got so far.
            Err(error) if error.kind == BucketErrorKind::Changed => {
                let (now, there) = (self.bucket().head(&from.key)?, self.bucket().head(&to)?);
                let is_same = now.is_some_and(|now| is_alike(&now, entry));
                let is_whole = there.is_some_and(|there| there.size_bytes == entry.size_bytes);
                if is_same && is_whole { Ok(()) } else { Err(error) }
            }
            copied => copied,
        }
    }

    fn copy_back(
        &self,
        journal: &Journal,
        entry: &Entry,
        key: &str,
    ) -> Result<Restored, BucketError> {
        let from = self.own_key(&copy_key(journal, entry));
        let Some(copy) = self.bucket().head(&from)? else {
            return Ok(Restored::Missing);
        };
        match self.bucket().copy(&copy, key) {
            Ok(()) => Ok(Restored::Done),
            Err(error) if error.kind == BucketErrorKind::Changed => {
                match self.bucket().head(key)? {
                    Some(there) => Ok(self.compare(journal, entry, &there)),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether what is in the place of something makes putting it back needless.
    fn compare(&self, journal: &Journal, entry: &Entry, there: &Object) -> Restored {
        if is_alike(there, entry) {
            return Restored::InPlace;
        }
        let moved = &journal.moves[entry.item];
        let digest = Digest::parse(&moved.name).ok();
        let is_right_blob = moved.kind == MoveKind::Blob
            && entry.below == "data"
            && sha256(self.storage.as_ref(), &journal.path_of(entry))
                .is_ok_and(|content| digest == Some(Digest::Sha256(content)));
        if is_right_blob { Restored::InPlace } else { Restored::Conflict }
    }

    pub(super) fn undo_run(&self, run: &str) -> Result<UndoReport, TrashError> {
        let mut report = UndoReport { run: run.into(), ..UndoReport::default() };
        let Some((journal, done)) = self.read_run(run)? else {
            // It was stopped before its list was written, so before anything went.
            report.is_removed = self.remove_run(run, &mut report.leftovers)?;
            return Ok(report);
        };
        let stayed = done.map(|done| done.stayed).unwrap_or_default();
        let mut rest: Vec<usize> =
            (0..journal.moves.len()).filter(|at| stayed.binary_search(at).is_err()).collect();
        let mut failed_kind = None;
        // Blobs before the links to them, tags last; what is of one kind goes at once.
        while let Some(last) = rest.last() {
            let kind = journal.moves[*last].kind;
            let begin = rest.iter().rposition(|at| journal.moves[*at].kind != kind);
            let group = rest.split_off(begin.map_or(0, |at| at + 1));
            if failed_kind.is_some() || report.failures.len() >= MAX_FAILURES {
                report.held_back_count += group.len() as u64;
                continue;
            }
            if kind == MoveKind::Directory {
                report.in_place_count += group.len() as u64;
                continue;
            }
            self.must_hold_lock()
                .map_err(|source| TrashError::Write { path: self.storage.root().into(), source })?;
            let results = parallel(&group, |number| self.restore_item(&journal, *number));
            for (number, result) in group.into_iter().zip(results) {
                if note(&journal.moves[number], result, &mut report) {
                    let is_needed = kind != MoveKind::Upload;
                    failed_kind = is_needed.then_some(kind).or(failed_kind);
                }
            }
        }
        if report.failures.is_empty() && report.conflicts.is_empty() {
            report.is_removed = self.remove_run(run, &mut report.leftovers)?;
        }
        Ok(report)
    }

    pub(super) fn roll_back_run(
        &self,
        run: &str,
        now: Timestamp,
    ) -> Result<UndoReport, TrashError> {
        let report = self.undo_run(run)?;
        if report.is_removed || !report.failures.is_empty() {
            return Ok(report);
        }
        let Some((journal, _)) = self.read_run(run)? else { return Ok(report) };
        let mut taken = Counts::default();
        let mut size_bytes = 0_u64;
        for item in &report.conflicts {
            taken.add(item.kind);
            size_bytes = size_bytes.saturating_add(item.size_bytes);
        }
        let is_back = |item: &Move| !report.conflicts.contains(item);
        let all = (0..).zip(&journal.moves);
        let stayed = all.filter(|(_, item)| is_back(item)).map(|(number, _)| number).collect();
        let put_back_count = report.restored.total();
        let summary = RunSummary { taken, size_bytes, put_back_count, finished_at: now };
        self.write_done(run, &Done { summary, stayed })?;
        Ok(report)
    }

    /// Writes down how a run ended.
    pub(super) fn write_done(&self, run: &str, done: &Done) -> Result<(), TrashError> {
        let mut bytes = serde_json::to_vec(done).unwrap_or_default();
        bytes.push(b'\n');
        let key = self.own_key(&format!("{TRASH}/{run}/{DONE}"));
        write(self.bucket(), &key, &bytes).map_err(error_at)
    }

    /// Removes all that a run has in the trash. Without its list it counts as one that never began, so
    /// that goes before the mark of its end. Puts what is not regsql's to `leftovers`: then that stays.
    pub(super) fn remove_run(
        &self,
        run: &str,
        leftovers: &mut Vec<PathBuf>,
    ) -> Result<bool, TrashError> {
        let directory =
            run_directory(run).ok_or_else(|| TrashError::NotARunName(run.to_owned()))?;
        let top = format!("{}/", self.key_of(&directory));
        let own = |key: &str| order_of(&key[top.len()..]);
        let mut keys: Vec<(u8, String)> = Vec::new();
        self.each_object(&top, &mut |object| match own(&object.key) {
            Some(order) => keys.push((order, object.key)),
            None => leftovers.push(directory.join(&object.key[top.len()..])),
        })?;
        keys.sort_unstable();
        for order in 0..=2 {
            let some: Vec<(String, Option<String>)> = keys
                .iter()
                .filter(|(of, _)| *of == order)
                .map(|(_, key)| (key.clone(), None))
                .collect();
            if let Some((_, error)) = (!some.is_empty())
                .then(|| delete_all(self.bucket(), &some))
                .into_iter()
                .flatten()
                .next()
            {
                return Err(error_at(error));
            }
        }
        if self.abilities()?.has_versions {
            forget_versions(self.bucket(), &top, &|key| own(key).is_some()).map_err(error_at)?;
        }
        Ok(leftovers.is_empty())
    }
}

/// The order in which what a run has in its directory goes; `None` for what is not regsql's.
fn order_of(below: &str) -> Option<u8> {
    match below {
        MOVES => Some(1),
        DONE => Some(2),
        _ => below.starts_with("files/").then_some(0),
    }
}

/// Whether something in the directory of a run is regsql's own.
pub(super) fn is_of_run(below: &str) -> bool {
    order_of(below).is_some()
}

/// Notes how putting something back ended. True when it failed.
fn note(item: &Move, result: Result<Restored, BucketError>, report: &mut UndoReport) -> bool {
    let is_tag = item.kind == MoveKind::Tag;
    match result {
        Ok(Restored::Done) => {
            report.restored.add(item.kind);
            report.restored_bytes = report.restored_bytes.saturating_add(item.size_bytes);
            if let (true, Some(repository)) = (is_tag, &item.repository) {
                report.tags.push((repository.clone(), item.name.clone()));
            }
        }
        Ok(Restored::InPlace) => report.in_place_count += 1,
        Ok(Restored::Conflict) => report.conflicts.push(item.clone()),
        Ok(Restored::Missing) => report.missing.push(item.clone()),
        Err(error) => {
            let reason = io_error(error);
            report.failures.push(Left { path: item.path.clone(), reason });
            return true;
        }
    }
    false
}

/// The first `limit` bytes of something that a run took.
pub(super) fn read_entry(
    bucket: &dyn Bucket,
    prefix: &str,
    journal: &Journal,
    entry: &Entry,
    limit: u64,
) -> io::Result<Content> {
    let is_whole = entry.size_bytes <= limit;
    if let Some(content) = &entry.content {
        let end = content.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        return Ok(Content { bytes: content[..end].to_vec(), is_whole });
    }
    let path = match entry.fate {
        Fate::Marked => journal.path_of(entry).to_string_lossy().into_owned(),
        Fate::Copied => copy_key(journal, entry),
        // Not "not there", which would say that nothing is needed.
        _ => {
            let reason = "it was deleted, and the list does not hold it";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    };
    let bytes = bucket.get(&format!("{prefix}{path}"), Some(0..limit), None).map_err(io_error)?;
    Ok(Content { bytes, is_whole })
}

/// Whether an object is of the same content as the one of the list, as far as a listing says.
pub(super) fn is_alike(there: &Object, entry: &Entry) -> bool {
    there.size_bytes == entry.size_bytes && there.etag.is_some() && there.etag == entry.etag
}
