//! Reading the contents of many blobs.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::db::{self, ContentReader, ContentResult, DatabaseError, StoredBlob, WriteLock};
use crate::model::Digest;
use crate::model::progress::Progress;
use crate::storage::{self, LocateError, locate};

use super::hash::{Read, Reading, read_blob};
use super::rate::RateLimit;
use super::selection::{Selection, Trusts};
use super::stop::Stop;

/// Pieces of a file: larger ones are no faster, and each thread has one.
const BUFFER_BYTES: usize = 256 << 10;

/// Blobs that are looked up at once.
const PAGE: usize = 1024;

/// How much a killed check may lose.
const TIME_BETWEEN_BATCHES: Duration = Duration::from_secs(2);

/// Results held back while a scan writes; then the threads wait.
const MAX_PENDING: usize = 50_000;

/// How long the last results wait for a scan to end.
const LAST_PATIENCE: Duration = Duration::from_mins(10);

/// The same when a person said to stop.
const PATIENCE_ON_STOP: Duration = Duration::from_secs(10);

/// Paths that a summary names.
const MAX_CHANGED_PATHS: usize = 20;

/// What to read, and how fast.
#[derive(Clone, Debug)]
pub struct ContentOptions {
    /// The registry's root directory, as the scan found it.
    pub root: PathBuf,
    /// The database that the scan left.
    pub database: PathBuf,
    /// Threads that read and hash.
    pub jobs: NonZeroUsize,
    /// Which blobs.
    pub selection: Selection,
    /// The most that all threads together read, in bytes a second.
    pub max_bytes_per_second: Option<u64>,
    /// Whose checksums prove a content without its being read.
    pub trusts: Trusts,
}

/// What a check read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentSummary {
    /// Blobs whose content is what their digests say.
    pub right_count: u64,
    /// Of these, the ones that were not read: the provider's own checksum proves them.
    pub proven_count: u64,
    /// Blobs with a finding.
    pub wrong_count: u64,
    /// Blobs that went or changed while they were read, or since the scan.
    pub changed_count: u64,
    /// The first of their paths.
    pub changed_paths: Vec<String>,
    /// Bytes of the blobs that were read to their end.
    pub read_bytes: u64,
    /// Blobs that were to be read.
    pub selected_count: u64,
    /// Their bytes, as the scan saw them.
    pub selected_bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// Why a check of content did not end.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The storage is no longer where it was scanned.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// It cannot be read at all.
    #[error("cannot read storage `{}`", .path.display())]
    Storage {
        /// Its root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A person stopped it.
    #[error("stopped after {read_count} of {selected_count} blobs; what they showed is kept")]
    Stopped {
        /// Blobs that were read.
        read_count: u64,
        /// Blobs that were to be read.
        selected_count: u64,
        /// Whole days that it ran, for the next step.
        days: u64,
    },
    /// A thread could not be started.
    #[error("cannot start {count} threads")]
    Threads {
        /// How many.
        count: usize,
        /// Why.
        source: io::Error,
    },
}

impl CheckError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Locate(error) => error.hint(),
            Self::Storage { source, .. } => storage::hint_of(source),
            Self::Database(error) => error.hint(),
            Self::Stopped { days, .. } => Some(format!(
                "go on with `--not-verified-for {}d`, which leaves out what was found right since",
                days + 1
            )),
            Self::Threads { .. } => Some("ask for fewer with --jobs".into()),
        }
    }
}

/// Reads the selected blobs until the last one or until `stop`, and records what they show.
pub fn check_content(
    options: &ContentOptions,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<ContentSummary, CheckError> {
    let started = Instant::now();
    let unreadable = |source| CheckError::Storage { path: options.root.clone(), source };
    let storage = storage::open(locate(&options.root)?).map_err(unreadable)?;
    storage.prepare(progress).map_err(unreadable)?;
    let queue = Queue::open(&options.database, options.selection)?;
    let mut summary = ContentSummary::default();
    queue.each(|blob| {
        summary.selected_count += 1;
        summary.selected_bytes = summary.selected_bytes.saturating_add(blob.size_bytes);
    })?;
    progress.phase_bytes("content", summary.selected_bytes);

    let rate = options.max_bytes_per_second.map(RateLimit::new);
    let piece_bytes = rate.as_ref().map_or(BUFFER_BYTES, |rate| rate.piece_bytes(BUFFER_BYTES));
    let stop = Stop::new(stop);
    let reading = Reading {
        storage: &*storage,
        rate: rate.as_ref(),
        trusts: options.trusts,
        stop: &stop,
        progress,
    };
    let queue = Mutex::new(queue);
    let (sender, receiver) = sync_channel(PAGE);
    let writer = Recorder::new(options, started, &stop, &mut summary);
    std::thread::scope(|scope| {
        let count = options.jobs.get();
        for number in 0..count {
            let sender = sender.clone();
            let (reading, queue) = (&reading, &queue);
            let started = std::thread::Builder::new()
                .name(format!("regsql-hash-{number}"))
                .spawn_scoped(scope, move || {
                    work(reading, queue, &sender, &mut vec![0; piece_bytes]);
                });
            if let Err(source) = started {
                stop.fail();
                return Err(CheckError::Threads { count, source });
            }
        }
        drop(sender);
        let recorded = writer.run(&receiver);
        if recorded.is_err() {
            stop.fail();
            // Whoever waits to send is let go.
            drop(receiver);
        }
        recorded
    })?;
    progress.finish();
    summary.duration = started.elapsed();
    if stop.is_by_person() {
        return Err(CheckError::Stopped {
            read_count: summary.right_count + summary.wrong_count,
            selected_count: summary.selected_count,
            days: summary.duration.as_secs() / 86_400,
        });
    }
    Ok(summary)
}

/// Blobs yet to be read, looked up page by page.
struct Queue {
    reader: ContentReader,
    selection: Selection,
    sha512_names: HashMap<i64, Vec<Digest>>,
    /// The last number that was looked up.
    after: i64,
    page: VecDeque<StoredBlob>,
}

/// A blob, and the sha512 digests that also name it.
type Item = (StoredBlob, Vec<Digest>);

impl Queue {
    fn open(database: &Path, selection: Selection) -> Result<Self, DatabaseError> {
        let reader = ContentReader::open(database)?;
        let sha512_names = reader.sha512_names()?;
        Ok(Self { reader, selection, sha512_names, after: -1, page: VecDeque::new() })
    }

    /// Every selected blob, from the first.
    fn each(&self, mut take: impl FnMut(&StoredBlob)) -> Result<(), DatabaseError> {
        let mut after = -1;
        loop {
            let page = self.reader.blobs_after(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            page.iter().filter(|blob| self.selection.takes(blob)).for_each(&mut take);
        }
    }

    fn next(&mut self) -> Result<Option<Item>, DatabaseError> {
        while self.page.is_empty() {
            let page = self.reader.blobs_after(self.after, PAGE)?;
            let Some(last) = page.last() else { return Ok(None) };
            self.after = last.id;
            self.page.extend(page.into_iter().filter(|blob| self.selection.takes(blob)));
        }
        Ok(self.page.pop_front().map(|blob| {
            let names = self.sha512_names.get(&blob.id).cloned().unwrap_or_default();
            (blob, names)
        }))
    }
}

/// What a thread finds of one blob, with its size as it was read.
type Found = Result<(Read, u64), DatabaseError>;

fn work(
    reading: &Reading<'_>,
    queue: &Mutex<Queue>,
    sender: &SyncSender<Found>,
    buffer: &mut [u8],
) {
    while !reading.stop.is_set() {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let found = match next {
            Ok(None) => return,
            Ok(Some((blob, names))) => {
                Ok((read_blob(reading, &blob, &names, buffer), blob.size_bytes))
            }
            Err(error) => Err(error),
        };
        // Nothing listens any more: an error elsewhere ended it all.
        if sender.send(found).is_err() {
            return;
        }
    }
}

/// The one writer.
struct Recorder<'a> {
    database: &'a Path,
    now_ns: i64,
    started: Instant,
    stop: &'a Stop<'a>,
    summary: &'a mut ContentSummary,
    pending: Vec<ContentResult>,
}

impl<'a> Recorder<'a> {
    fn new(
        options: &'a ContentOptions,
        started: Instant,
        stop: &'a Stop<'a>,
        summary: &'a mut ContentSummary,
    ) -> Self {
        let now_ns = options.selection.now_ns;
        Self { database: &options.database, now_ns, started, stop, summary, pending: Vec::new() }
    }

    /// Takes what the threads find until all of them have ended.
    fn run(mut self, receiver: &Receiver<Found>) -> Result<(), CheckError> {
        let mut written = Instant::now();
        loop {
            match receiver.recv_timeout(TIME_BETWEEN_BATCHES) {
                Ok(Ok((read, size_bytes))) => self.take(read, size_bytes),
                Ok(Err(error)) => return Err(error.into()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if written.elapsed() >= TIME_BETWEEN_BATCHES {
                self.write_if_free()?;
                written = Instant::now();
            }
            while self.pending.len() >= MAX_PENDING {
                self.write_at_last()?;
            }
        }
        self.write_at_last()
    }

    fn take(&mut self, read: Read, size_bytes: u64) {
        let is_proven = matches!(read, Read::Proven(_));
        self.summary.proven_count += u64::from(is_proven);
        let size_bytes = if is_proven { 0 } else { size_bytes };
        match read {
            Read::Result(mut result) | Read::Proven(mut result) => {
                let took = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
                result.at_ns = self.now_ns.saturating_add(took);
                let is_right = result.findings.is_empty();
                self.summary.right_count += u64::from(is_right);
                self.summary.wrong_count += u64::from(!is_right);
                self.summary.read_bytes = self.summary.read_bytes.saturating_add(size_bytes);
                self.pending.push(result);
            }
            Read::Changed { path } => {
                self.summary.changed_count += 1;
                if self.summary.changed_paths.len() < MAX_CHANGED_PATHS {
                    self.summary.changed_paths.push(path);
                }
            }
            Read::Stopped => {}
        }
    }

    /// Writes, unless a scan is writing or a long query reads: the next batch takes it all.
    fn write_if_free(&mut self) -> Result<bool, CheckError> {
        if self.pending.is_empty() {
            return Ok(true);
        }
        let Some(lock) = WriteLock::try_take(self.database)? else { return Ok(false) };
        match db::record_content(&lock, &self.pending) {
            Ok(()) => {
                self.pending.clear();
                Ok(true)
            }
            Err(DatabaseError::Locked(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at_last(&mut self) -> Result<(), CheckError> {
        let began = Instant::now();
        while !self.write_if_free()? {
            let patience = if self.stop.is_by_person() { PATIENCE_ON_STOP } else { LAST_PATIENCE };
            if began.elapsed() >= patience {
                return Err(DatabaseError::Scanning(self.database.to_owned()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
