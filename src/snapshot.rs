//! The main job, end to end: storage -> facts -> graph -> figures -> database.

mod bucket;
mod findings;
mod forgotten;
mod inventory;
mod roots;
mod unknown;
mod vanished;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::db::{
    self, AuthorityRecord, DatabaseError, DiskSpace, Ids, Making, NewDatabase, PreviousScan,
    References, ScanRecord, Snapshot, Totals, Witness, WriteLock,
};
use crate::graph;
use crate::model::progress::Progress;
use crate::model::text_of;
use crate::scan::DeepLook;
use crate::scan::{self, Depth, DiskUse, Facts, KnownContents, KnownParts, Section};
use crate::storage::{self, BucketFacts, LocateError, Location, Place, Space, Storage, locate};
use crate::trash;
pub use inventory::InventoryError;
use roots::{Reading, RootsReadError};
pub use roots::{RootsChoice, RootsScanError};
use vanished::MAX_VANISHED_PERCENT;

/// What to scan, and where to put the result.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// The registry's root, its `docker/registry/v2`, its configuration, or the address of a bucket.
    pub storage: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// How many threads wait for the disk. A cold disk answers many at once; a warm one needs few,
    /// and more do little harm.
    pub io_threads: NonZeroUsize,
    /// When to look at what lies beside each blob and link.
    pub deep: DeepLook,
    /// What of the last scan is taken for still true.
    pub reuse: Reuse,
    /// The database may hold a scan of another storage, whose place this one takes.
    pub replaces: bool,
    /// More percent of all tags missing at once than this has vanished; `None`: as last time.
    pub max_vanished_percent: Option<u8>,
    /// References that are held outside of the storage.
    pub roots: RootsChoice,
}

/// What of the last scan of the same storage is taken for still true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Nothing: everything is read.
    Nothing,
    /// What files say whose sizes and times are the same. Every file is looked at. What deletes
    /// needs no less.
    Files,
    /// Also the entries of directories that nothing was added to or taken from. That a `data` or a
    /// layer's `link` was replaced, cut or removed by itself goes unseen.
    Directories {
        /// Times must lie this long before the scan that remembers them: a change in the same tick
        /// of a clock does not show.
        settled: Duration,
    },
}

impl Reuse {
    /// For a scan that only reports. Clocks of file servers may be a little off.
    pub const DIRECTORIES: Self = Self::Directories { settled: Duration::from_mins(1) };

    /// How long ago the newest change must be for the next scan to rely on times.
    fn settled(self) -> Duration {
        match self {
            Self::Directories { settled } => settled,
            Self::Nothing | Self::Files => Duration::from_mins(1),
        }
    }
}

/// What a scan found.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The registry's root directory.
    pub root: PathBuf,
    /// Figures about the whole storage.
    pub totals: Totals,
    /// Findings by severity: info, warning, error.
    pub findings: [u64; 3],
    /// How much could not be read, why, and what helps.
    pub unreadable: Option<String>,
    /// What the provider of a bucket says.
    pub bucket: Option<BucketFacts>,
    /// Everything could be read.
    pub is_complete: bool,
    /// Nothing had changed since the last scan.
    pub is_unchanged: bool,
    /// The old database was damaged, and its history could not be taken over.
    pub has_lost_history: bool,
    /// How long it took.
    pub duration: Duration,
}

impl Summary {
    /// Whether something outside of the storage seems to hold references, so that garbage is not known.
    pub fn has_other_authority(&self) -> bool {
        self.totals.get("authority_suspected").is_some_and(|value| *value != 0)
    }
}

/// Why a scan did not end.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The path is no registry's storage.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The storage cannot be read at all.
    #[error("cannot read storage `{}`", .path.display())]
    Storage {
        /// Its root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The roots cannot be relied on.
    #[error(transparent)]
    Roots(#[from] RootsScanError),
    /// The database cannot be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database would lie in the storage, where nothing may be written.
    #[error("the database `{}` would lie inside the storage `{}`", .database.display(), .root.display())]
    DatabaseInStorage {
        /// The database.
        database: PathBuf,
        /// The storage's root.
        root: PathBuf,
    },
    /// The database holds a scan of another storage.
    #[error("the database `{}` is of another storage, `{known}`, and not of `{}`", .database.display(), .root.display())]
    OtherStorage {
        /// The database.
        database: PathBuf,
        /// The root of that storage, as text.
        known: String,
        /// The root of the one to be scanned.
        root: PathBuf,
    },
    /// The inventory cannot be taken.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The threads could not be started.
    #[error("cannot start {count} threads")]
    Threads {
        /// How many.
        count: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
}

impl ScanError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Locate(error) => error.hint(),
            Self::Storage { source, .. } => storage::hint_of(source),
            Self::Roots(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::Inventory(error) => error.hint(),
            Self::DatabaseInStorage { .. } => {
                Some("regsql never writes to a storage; name a file elsewhere with --db".into())
            }
            Self::OtherStorage { .. } => Some(
                "name another file with --db; or --replace, also when the storage was moved: the old \
                 scan and what it knows go"
                    .into(),
            ),
            Self::Threads { .. } => Some("ask for fewer with --io-threads".into()),
        }
    }
}

impl From<RootsReadError> for ScanError {
    fn from(error: RootsReadError) -> Self {
        match error {
            RootsReadError::Roots(error) => error.into(),
            RootsReadError::Database(error) => error.into(),
        }
    }
}

/// The root directory of the storage that `given` names, as a scan would find it.
pub fn root_of(given: &Path) -> Result<PathBuf, ScanError> {
    Ok(locate(given)?.root)
}

/// How a snapshot writes the root directory of its storage.
pub fn root_text(root: &Path) -> String {
    text_of(root.as_os_str())
}

/// Scans a storage into a database.
pub fn scan(options: &ScanOptions, progress: &dyn Progress) -> Result<Summary, ScanError> {
    let started = Started::now();
    let mut location = locate(&options.storage)?;
    refuse_database_in_storage(&options.database, &location)?;
    let previous = previous_of(options, &location.root)?;
    remember_configuration(&mut location, previous.as_ref());
    let lock = WriteLock::take(&options.database)?;
    let root = location.root.clone();
    let storage =
        storage::open(location).map_err(|source| ScanError::Storage { path: root, source })?;
    scan_opened(options, &*storage, started, previous, &lock, progress)
}

/// Scans a bucket into a database by an inventory that its provider made, for reports alone.
///
/// # Errors
/// As of [`scan()`], and when the inventory is not whole, of another bucket, or older than what the database has.
pub fn scan_inventory(
    options: &ScanOptions,
    manifest: &str,
    progress: &dyn Progress,
) -> Result<Summary, ScanError> {
    let started = Started::now();
    let mut location = locate(&options.storage)?;
    let previous = previous_of(options, &location.root)?;
    remember_configuration(&mut location, previous.as_ref());
    let storage = inventory::open(location, manifest, previous.as_ref(), options.replaces)?;
    let lock = WriteLock::take(&options.database)?;
    scan_opened(options, &*storage, started, previous, &lock, progress)
}

/// Scans a storage that is open into a database; [`ScanOptions::storage`] is not looked at.
pub fn scan_storage(
    options: &ScanOptions,
    storage: &dyn Storage,
    progress: &dyn Progress,
) -> Result<Summary, ScanError> {
    let started = Started::now();
    let previous = previous_of(options, storage.root())?;
    let lock = WriteLock::take(&options.database)?;
    scan_opened(options, storage, started, previous, &lock, progress)
}

/// As many times more contents are read at once from a bucket than from a disk: each takes tens of
/// milliseconds and no work. The bucket's client lets fewer run when the provider throttles.
const BUCKET_THREADS: usize = 8;

/// When a scan began, by both clocks.
#[derive(Clone, Copy)]
struct Started {
    at: Instant,
    at_ns: i64,
}

impl Started {
    fn now() -> Self {
        Self { at: Instant::now(), at_ns: now_ns() }
    }
}

/// The last scan that the database has; it must be one of the storage at `root`, or be replaced.
fn previous_of(options: &ScanOptions, root: &Path) -> Result<Option<PreviousScan>, ScanError> {
    let previous = db::previous_scan_if_whole(&options.database)?;
    if let Some(known) = previous.as_ref().map(|previous| previous.root.clone())
        && known != root_text(root)
        && !options.replaces
    {
        let (database, root) = (options.database.clone(), root.to_owned());
        return Err(ScanError::OtherStorage { database, known, root });
    }
    Ok(previous)
}

fn scan_opened(
    options: &ScanOptions,
    storage: &dyn Storage,
    Started { at: started, at_ns: started_ns }: Started,
    previous: Option<PreviousScan>,
    lock: &WriteLock,
    progress: &dyn Progress,
) -> Result<Summary, ScanError> {
    let root = storage.root().to_owned();
    let is_bucket = storage.bucket_facts().is_some();
    let threads = options.io_threads.get();
    let pool = io_pool(if is_bucket { threads.saturating_mul(BUCKET_THREADS) } else { threads })?;
    if is_bucket {
        storage
            .prepare(progress)
            .map_err(|source| ScanError::Storage { path: root.clone(), source })?;
    }
    // A damaged old database has seen nothing that could be relied on.
    let witness = db::witness(&options.database, &root_text(&root)).unwrap_or_default();
    let max_vanished_percent = limit_of(options, witness.as_ref());
    let previous = previous.filter(|previous| {
        options.reuse != Reuse::Nothing
            && previous.root == root_text(&root)
            && previous.tool_version == env!("CARGO_PKG_VERSION")
            && previous.is_schema_current
    });
    let job = Job {
        options,
        storage,
        lock,
        started,
        started_ns,
        witness,
        max_vanished_percent,
        progress,
    };
    std::thread::scope(|scope| {
        let may_take_over = previous.is_some();
        let roots = Reading::begin(scope, &options.roots, lock, &root_text(&root), may_take_over)?;
        let (facts, depth, read) = match pool.install(|| job.look(previous, roots))? {
            Look::Unchanged(summary) => return Ok(*summary),
            Look::Facts(facts, depth, read) => (*facts, depth, *read),
        };
        drop(pool);
        job.publish(facts, depth, read, may_take_over)
    })
}

/// One scan, from its options to its summary.
struct Job<'a> {
    options: &'a ScanOptions,
    storage: &'a dyn Storage,
    lock: &'a WriteLock,
    started: Instant,
    started_ns: i64,
    /// What earlier scans saw.
    witness: Option<Witness>,
    max_vanished_percent: u8,
    progress: &'a dyn Progress,
}

/// What looking at the storage showed.
enum Look<'a> {
    /// What the database has; it is published as this scan's.
    Unchanged(Box<Summary>),
    Facts(Box<Facts>, Depth, Box<roots::Read<'a>>),
}

impl<'a> Job<'a> {
    fn record(
        &self,
        fingerprint: [u8; 32],
        is_complete: bool,
        is_deep: bool,
        disk_use: Option<&DiskUse>,
    ) -> ScanRecord {
        ScanRecord {
            root: root_text(self.storage.root()),
            started_ns: self.started_ns,
            finished_ns: now_ns(),
            duration_ms: self.started.elapsed().as_millis() as i64,
            is_complete,
            is_deep,
            fingerprint,
            proxy_url: self.storage.proxied_url().map(str::to_owned),
            disk: self.storage.space().map(disk_space),
            disk_use: disk_use.copied(),
            bucket: bucket::record(self.storage),
            max_vanished_percent: self.max_vanished_percent,
            other_totals: trash::summary(self.storage).totals(),
        }
    }

    /// Walks the storage, and reads what the last scan does not know of it.
    fn look(
        &self,
        previous: Option<PreviousScan>,
        roots: Reading<'_, 'a>,
    ) -> Result<Look<'a>, ScanError> {
        let section = |section| db::remembered(&self.options.database, section as u8);
        let last_parts =
            previous.as_ref().and_then(|_| KnownParts::decode(&section(Section::Parts)?));
        let depth = scan::depth_for(self.storage, self.options.deep);
        let mut look = scan::Look::full(self.storage, depth);
        look.known = last_parts.as_ref();
        look.trusts_directories = matches!(self.options.reuse, Reuse::Directories { .. });
        look.settled_before_ns = self.started_ns - self.options.reuse.settled().as_nanos() as i64;
        let mut walked = scan::walk(look, self.progress);
        let roots = roots.finish()?;
        let roots_fingerprint = roots.fingerprint();
        if let Some(previous) = previous.filter(|previous| {
            previous.fingerprint == walked.fingerprint()
                && previous.roots_fingerprint.as_deref() == Some(&roots_fingerprint[..])
                && may_stand(previous, self.started_ns)
                && last_parts.as_ref().is_some_and(|last| last.have_stayed(self.storage))
        }) {
            let is_deep = previous.is_deep || depth == Depth::Deep;
            // Parts that were too new to be relied on may have become old enough.
            let disk_use = walked.disk_use(self.storage);
            let parts = last_parts.as_ref().and_then(|last| {
                let parts = walked.parts_beside_contents_of(last);
                (parts != *last).then(|| parts.encode())
            });
            if let Some(summary) =
                self.publish_unchanged(is_deep, disk_use.as_ref(), &previous, parts.as_deref())?
            {
                return Ok(Look::Unchanged(Box::new(summary)));
            }
            walked = scan::walk(look.without_known(), self.progress);
        }
        let contents = last_parts.as_ref().and_then(|parts| {
            KnownContents::decode(parts, &section(Section::Contents)?, &section(Section::Bodies)?)
        });
        if !walked.fill(contents.as_ref()) {
            walked = scan::walk(look.without_known(), self.progress);
        }
        let facts = scan::read_manifests(self.storage, walked, contents, self.progress);
        Ok(Look::Facts(Box::new(facts), depth, Box::new(roots)))
    }

    /// The old snapshot stands; `None` when it is damaged.
    fn publish_unchanged(
        &self,
        is_deep: bool,
        disk_use: Option<&DiskUse>,
        previous: &PreviousScan,
        parts: Option<&[u8]>,
    ) -> Result<Option<Summary>, DatabaseError> {
        let Ok(fingerprint) = previous.fingerprint.as_slice().try_into() else { return Ok(None) };
        let scan = self.record(fingerprint, true, is_deep, disk_use);
        let database = &self.options.database;
        let published = db::publish_unchanged(self.lock, &scan, parts)
            .and_then(|totals| Ok((totals, db::findings_by_severity(database)?)));
        let (totals, findings) = match published {
            Err(error) if error.is_damage() => return Ok(None),
            published => published?,
        };
        self.progress.finish();
        Ok(Some(Summary {
            root: self.storage.root().to_owned(),
            findings,
            unreadable: db::unreadable_text(&self.options.database)?,
            totals,
            bucket: self.storage.bucket_facts(),
            is_complete: true,
            is_unchanged: true,
            has_lost_history: false,
            duration: self.started.elapsed(),
        }))
    }

    /// Works out the figures and puts everything into a new database.
    fn publish(
        self,
        mut facts: Facts,
        depth: Depth,
        mut read: roots::Read<'a>,
        may_copy: bool,
    ) -> Result<Summary, ScanError> {
        self.progress.phase("accounting", None);
        // Rows of an export are in a new file already.
        let copy = if may_copy && read.is_empty() { NewDatabase::copy(self.lock)? } else { None };
        let new = match copy {
            Some(copy) => copy,
            None => read.database(self.lock)?,
        };
        facts.remember(&mut |section, fill| new.remember(section as u8, fill))?;
        let (fingerprint, disk_use) = (facts.fingerprint, facts.disk_use);
        let mut is_complete = !facts.is_incomplete();
        let mut authority = authority_of(&mut facts);
        if !read.is_empty() {
            roots::add_absent(&mut facts, &new, self.storage)?;
        }
        let (mut catalog, mut graph, mut notes) = scan::build(facts);
        if !read.is_empty() {
            let (record, with_roots) = roots::resolve(read, &new, &mut catalog, &graph)?;
            authority.roots = Some(record);
            graph = with_roots;
        }
        notes.findings.extend(findings::of_authority(&authority, self.storage));
        let (new, ids) = match new.ids(&catalog) {
            Err(error) if error.is_damage() => {
                // It removes its file, whose place the next one takes.
                drop(new);
                (NewDatabase::create(self.lock)?, Ids::new(&catalog))
            }
            ids => (new, ids?),
        };
        // A damaged old database is not worth failing for: a check of content finds them again.
        let about_content = db::content_findings(&self.options.database).unwrap_or_default();
        // Two threads write half of the rows each; one also works out figures, with a third.
        let making = new.making();
        let (totals, findings, has_lost_history) = std::thread::scope(|scope| {
            let references = scope.spawn(|| References::load(self.lock, &catalog, &ids, making));
            // Where little is written, the thread above is soon done.
            let beside = scope.spawn(|| {
                let of_graph = scan::catalog_findings(&catalog, &graph, self.started_ns);
                (of_graph, graph::groups(&graph), scan::tag_verdicts(&catalog, &graph))
            });
            let accounts = graph::account(&graph);
            let (mut of_graph, groups, verdicts) =
                beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            bucket::explain_undeleted_tags(&mut of_graph, &catalog, self.storage);
            let mut findings = findings::all(of_graph, &catalog, notes, &about_content);
            unknown::retain_known(&mut findings, &catalog.layout);
            let limit = self.max_vanished_percent;
            findings::add_vanished(&mut findings, self.witness.as_ref(), &catalog, limit);

            self.progress.phase("database", None);
            is_complete &= findings.iter().all(|finding| !finding.code.hides_something());
            let mut scan =
                self.record(fingerprint, is_complete, depth == Depth::Deep, disk_use.as_ref());
            scan.bucket.storage_classes = bucket::storage_classes(self.storage, &catalog.digests);
            let snapshot = Snapshot {
                graph: &catalog,
                ids: &ids,
                accounts: &accounts,
                groups: &groups,
                verdicts: &verdicts,
                findings: &findings,
                authority: &authority,
                scan,
            };
            let has_lost_history = new.has_lost_history();
            let published = new.publish(&snapshot, || {
                references.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            let (totals, has_lost_history) = match published {
                // What the last file says is compared with what is there: a damaged one cannot be.
                Err(error) if error.is_damage() && making == Making::Copy => {
                    self.publish_new(&Snapshot { ids: &Ids::new(&catalog), ..snapshot })?
                }
                published => (published?, has_lost_history),
            };
            Ok::<_, DatabaseError>((totals, findings, has_lost_history))
        })?;
        self.progress.finish();
        Ok(Summary {
            root: self.storage.root().to_owned(),
            totals,
            findings: findings::by_severity(&findings),
            unreadable: db::unreadable_text(&self.options.database)?,
            bucket: self.storage.bucket_facts(),
            is_complete,
            is_unchanged: false,
            has_lost_history,
            duration: self.started.elapsed(),
        })
    }
}

impl Job<'_> {
    /// Puts a snapshot into a new file. It remembers nothing for the next scan, which then reads everything.
    fn publish_new(&self, snapshot: &Snapshot<'_>) -> Result<(Totals, bool), DatabaseError> {
        let new = NewDatabase::create(self.lock)?;
        let has_lost_history = new.has_lost_history();
        let load = || References::load(self.lock, snapshot.graph, snapshot.ids, Making::New);
        Ok((new.publish(snapshot, load)?, has_lost_history))
    }
}

/// Threads that wait for the disk.
fn io_pool(count: usize) -> Result<rayon::ThreadPool, ScanError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|at| format!("regsql-io-{at}"))
        .build()
        .map_err(|source| ScanError::Threads { count, source })
}

/// Whether the old snapshot is still right when names, sizes and times are those that it saw.
fn may_stand(previous: &PreviousScan, started_ns: i64) -> bool {
    previous.is_complete
        && !previous.is_vanished_accepted
        && previous
            .next_stale_upload_ns
            .is_none_or(|active_ns| active_ns > started_ns.saturating_sub(scan::STALE_UPLOAD_NS))
}

/// More percent of all tags missing at once than this has vanished: as asked for, else as last time.
fn limit_of(options: &ScanOptions, witness: Option<&Witness>) -> u8 {
    let last = || witness.and_then(|witness| witness.max_vanished_percent);
    options.max_vanished_percent.or_else(last).unwrap_or(MAX_VANISHED_PERCENT)
}

/// What a configuration said once is true until one says otherwise.
fn remember_configuration(location: &mut Location, previous: Option<&PreviousScan>) {
    if location.configured.is_none()
        && let Some(previous) = previous
        && previous.root == root_text(&location.root)
    {
        location.configured.clone_from(&previous.configured);
    }
}

/// As the database holds it.
fn disk_space(space: Space) -> DiskSpace {
    let [size_bytes, used_bytes, free_bytes] =
        [space.size_bytes, space.used_bytes, space.free_bytes]
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    DiskSpace { size_bytes, used_bytes, free_bytes }
}

/// Who else holds references, as far as the storage shows.
fn authority_of(facts: &mut scan::Facts) -> AuthorityRecord {
    let without_tags = (0..)
        .zip(&facts.repositories)
        .filter(|(_, (repository, _))| !repository.has_tags_directory)
        .map(|(place, _)| place)
        .collect();
    let evidence = std::mem::take(&mut facts.evidence);
    AuthorityRecord { evidence, without_tags, roots: None }
}

fn refuse_database_in_storage(database: &Path, location: &Location) -> Result<(), ScanError> {
    if !matches!(location.place, Place::Filesystem) {
        return Ok(());
    }
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A directory that does not exist is reported when the file is written.
    let Ok(directory) = directory.canonicalize() else {
        return Ok(());
    };
    if directory.starts_with(&location.root) {
        return Err(ScanError::DatabaseInStorage {
            database: database.to_owned(),
            root: location.root.clone(),
        });
    }
    Ok(())
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
