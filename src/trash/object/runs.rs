//! What runs lie in the trash of a bucket.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ObjectTrash;
use super::journal::{Done, Entry, Journal};
use super::requests::{error_at, forget_versions, write};
use super::restore::read_entry;
use crate::storage::object::{
    Bucket, BucketError, BucketErrorKind, Object, Version, each_page, each_version_page,
};
use crate::storage::{Content, Storage};
use crate::trash::error::TrashError;
use crate::trash::held::{HeldRun, ReadTaken};
use crate::trash::list::{RunInfo, RunState};
use crate::trash::moves::{Counts, MAX_MOVES_BYTES, Move, MoveKind, RunHeader};
use crate::trash::paths::{DONE, MOVES, OWN, TRASH, run_directory};
use crate::trash::summary::{LAST, LastRun};

/// The first line of a list is far shorter.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// A run in the trash.
pub(super) struct Run {
    pub name: String,
    pub has_list: bool,
    /// What its list begins with, if it can be read.
    pub header: Result<Option<RunHeader>, TrashError>,
    pub done: Result<Option<Done>, TrashError>,
}

impl ObjectTrash {
    /// All runs in the order in which they began; those that do not say it come last.
    pub(super) fn runs(&self) -> Result<Vec<Run>, TrashError> {
        let top = self.own_key(&format!("{TRASH}/"));
        let mut names = Vec::new();
        each_page(self.bucket(), &top, true, &mut |page| {
            let found = page.prefixes.iter().filter_map(|name| name.strip_prefix(&top));
            names.extend(found.map(|name| name.trim_end_matches('/').to_owned()));
        })
        .map_err(error_at)?;
        names.sort_unstable();
        names.dedup();
        let mut runs = Vec::new();
        for name in names.into_iter().filter(|name| run_directory(name).is_some()) {
            let key = |file: &str| self.own_key(&format!("{TRASH}/{name}/{file}"));
            let first = self.bucket().get(&key(MOVES), Some(0..MAX_HEADER_BYTES), None);
            let has_list = !matches!(&first, Err(error) if error.kind == BucketErrorKind::NotFound);
            let header =
                missing_is_none(first).map(|first| first.and_then(|line| header_of(&line)));
            let done = self.read_done(&name);
            // Some servers keep the names of directories whose objects are gone.
            if has_list
                || !matches!(done, Ok(None))
                || self.holds_anything(&format!("{top}{name}/"))?
            {
                runs.push(Run { name, has_list, header, done });
            }
        }
        // Stable, so that names decide last.
        runs.sort_by_key(|run| match &run.header {
            Ok(Some(header)) => (0, header.sequence, header.started_at),
            _ => (1, 0, jiff::Timestamp::MIN),
        });
        Ok(runs)
    }

    fn holds_anything(&self, prefix: &str) -> Result<bool, TrashError> {
        let page = self.bucket().list(prefix, false, None).map_err(error_at)?;
        Ok(!page.objects.is_empty())
    }

    pub(super) fn next_sequence(&self) -> Result<u64, TrashError> {
        let runs = self.runs()?;
        let known = runs.iter().filter_map(|run| run.header.as_ref().ok()?.as_ref());
        Ok(known.map(|header| header.sequence).max().unwrap_or(0).saturating_add(1))
    }

    fn read_done(&self, run: &str) -> Result<Option<Done>, TrashError> {
        let path = format!("{TRASH}/{run}/{DONE}");
        let bytes = missing_is_none(self.bucket().get(&self.own_key(&path), None, None))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let done: Done = serde_json::from_slice(&bytes).map_err(|error| TrashError::Damaged {
            path: self.storage.root().join(&path),
            line: 1,
            reason: error.to_string(),
        })?;
        Ok(Some(done))
    }

    /// A run's list, and its end if it came to one; `None` when it has no list.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    pub(super) fn read_run(
        &self,
        run: &str,
    ) -> Result<Option<(Journal, Option<Done>)>, TrashError> {
        let directory =
            run_directory(run).ok_or_else(|| TrashError::NotARunName(run.to_owned()))?;
        let path = directory.join(MOVES);
        let key = self.key_of(&path);
        let shown = self.storage.root().join(&path);
        let size_bytes = self.bucket().head(&key).map_err(error_at)?.map(|list| list.size_bytes);
        if size_bytes.is_some_and(|size| size > MAX_MOVES_BYTES) {
            return Err(TrashError::Read {
                path: shown,
                source: io::ErrorKind::FileTooLarge.into(),
            });
        }
        let bytes = missing_is_none(self.bucket().get(&key, None, None))?;
        let Some(bytes) = bytes else {
            if self.holds_anything(&format!("{}/", self.key_of(&directory)))? {
                return Ok(None);
            }
            let trash = self.storage.root().join(TRASH);
            return Err(TrashError::NoRun { run: run.to_owned(), trash });
        };
        let mut journal = Journal::read(&bytes, self.storage.layout(), &shown)?;
        // It lies where it lies, whatever it says.
        run.clone_into(&mut journal.header.run);
        Ok(Some((journal, self.read_done(run)?)))
    }

    pub(super) fn info(&self, run: &Run) -> RunInfo {
        let mut info = RunInfo {
            run: run.name.clone(),
            started_at: None,
            state: RunState::NotBegun,
            counts: Counts::default(),
            size_bytes: 0,
        };
        match (&run.header, &run.done) {
            (Ok(Some(header)), Ok(done)) => {
                info.started_at = Some(header.started_at);
                let (counts, size_bytes) = match done {
                    Some(done) => (done.summary.taken, done.summary.size_bytes),
                    None => (header.counts, header.size_bytes),
                };
                info.counts = Counts { directories: 0, ..counts };
                info.size_bytes = size_bytes;
                info.state = match done {
                    Some(_) => RunState::Finished,
                    None => RunState::Unfinished,
                };
            }
            _ if !run.has_list => {}
            _ => {
                let read = self.read_run(&run.name).err();
                let unread = || TrashError::Damaged {
                    path: self.storage.root().join(TRASH).join(&run.name).join(MOVES),
                    line: 1,
                    reason: "its first line cannot be read".into(),
                };
                info.state = RunState::Damaged(read.unwrap_or_else(unread));
            }
        }
        info
    }

    /// What runs hold that can be read. What is marked lies in its place.
    pub(super) fn held_runs(&self, is_unfinished: bool) -> Result<Vec<HeldRun>, TrashError> {
        let mut held = Vec::new();
        let mut is_fresh = false;
        for run in self.runs()? {
            if is_unfinished && !matches!(run.done, Ok(None)) {
                continue;
            }
            let (journal, done) = match self.read_run(&run.name) {
                Ok(Some(read)) => read,
                // Who acts on the run says what is wrong with it.
                Ok(None) | Err(TrashError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            if !is_fresh {
                self.refresh()?;
                is_fresh = true;
            }
            let stayed = done.map(|done| done.stayed).unwrap_or_default();
            let mut moves = Vec::new();
            let mut marked = Vec::new();
            for (number, item) in journal.moves.iter().enumerate() {
                let entries = journal.entries_of(number);
                let is_out = item.kind != MoveKind::Directory
                    && !entries.is_empty()
                    && stayed.binary_search(&number).is_err();
                if !is_out {
                    continue;
                }
                let is_there =
                    entries.iter().any(|entry| self.storage.stat(&journal.path_of(entry)).is_ok());
                let is_marked = entries.iter().any(Entry::is_mark);
                match (is_marked, is_there) {
                    (true, true) => marked.push(item.clone()),
                    // A purge was stopped after it had copied it.
                    (_, false) => moves.push(item.clone()),
                    (false, true) => {}
                }
            }
            // A run that took nothing so far is to be ended, too.
            if !moves.is_empty() || !marked.is_empty() {
                let taken =
                    TakenObjects::new(self.storage.bucket(), self.storage.prefix(), journal);
                held.push(HeldRun::new(run.name, moves, marked, Box::new(taken)));
            }
        }
        Ok(held)
    }

    /// What runs have marked and came to their end with. A list that is damaged marks nothing, for its
    /// purge fails.
    pub(super) fn marked_moves(&self) -> Result<Vec<Move>, TrashError> {
        let mut moves = Vec::new();
        for run in self.runs()? {
            let (journal, done) = match self.read_run(&run.name) {
                Ok(Some((journal, Some(done)))) => (journal, done),
                Ok(_) | Err(TrashError::Damaged { .. } | TrashError::Newer { .. }) => continue,
                Err(error) => return Err(error),
            };
            for (number, item) in journal.moves.iter().enumerate() {
                let is_marked = journal.entries_of(number).iter().any(Entry::is_mark);
                if is_marked && done.stayed.binary_search(&number).is_err() {
                    moves.push(item.clone());
                }
            }
        }
        Ok(moves)
    }

    /// Calls `take` with every object below a prefix.
    pub(super) fn each_object(
        &self,
        prefix: &str,
        take: &mut dyn FnMut(Object),
    ) -> Result<(), TrashError> {
        each_page(self.bucket(), prefix, false, &mut |page| {
            page.objects.into_iter().for_each(&mut *take);
        })
        .map_err(error_at)
    }

    /// Calls `take` with every version and marker below a prefix.
    pub(super) fn each_version(
        &self,
        prefix: &str,
        take: &mut dyn FnMut(Version),
    ) -> Result<(), TrashError> {
        each_version_page(self.bucket(), prefix, &mut |page| {
            page.versions.into_iter().for_each(&mut *take);
        })
        .map_err(error_at)
    }

    /// What is known of the last deletion.
    pub(super) fn read_last(&self) -> Option<LastRun> {
        let bytes = self.bucket().get(&self.own_key(&format!("{OWN}/{LAST}")), None, None).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn write_last(&self, last: &LastRun) -> Result<(), TrashError> {
        let mut bytes = serde_json::to_vec(last).unwrap_or_default();
        bytes.push(b'\n');
        let key = self.own_key(&format!("{OWN}/{LAST}"));
        write(self.bucket(), &key, &bytes).map_err(error_at)?;
        if self.abilities()?.has_versions {
            forget_versions(self.bucket(), &key, &|found| found == key).map_err(error_at)?;
        }
        Ok(())
    }
}

/// What a run took, as it is shown.
struct TakenObjects {
    bucket: Arc<dyn Bucket>,
    prefix: String,
    journal: Journal,
    entries: HashMap<PathBuf, usize>,
}

impl TakenObjects {
    fn new(bucket: &Arc<dyn Bucket>, prefix: &str, journal: Journal) -> Self {
        let all = journal.entries.iter().enumerate();
        let entries = all.map(|(at, entry)| (journal.path_of(entry), at)).collect();
        Self { bucket: Arc::clone(bucket), prefix: prefix.to_owned(), journal, entries }
    }
}

impl fmt::Debug for TakenObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects of run {}", self.journal.header.run)
    }
}

impl ReadTaken for TakenObjects {
    fn read(&self, _storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Content> {
        let at = self.entries.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        let Self { bucket, prefix, journal, .. } = self;
        read_entry(bucket.as_ref(), prefix, journal, &journal.entries[at], limit)
    }
}

fn header_of(bytes: &[u8]) -> Option<RunHeader> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).ok()
}

fn missing_is_none<T>(result: Result<T, BucketError>) -> Result<Option<T>, TrashError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == BucketErrorKind::NotFound => Ok(None),
        Err(error) => Err(error_at(error)),
    }
}
