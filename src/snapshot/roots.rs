//! References that somebody outside of the storage holds, brought to what is on disk: which files are
//! read, what each row keeps here, and when an export is refused.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::forgotten::{Before, ForgottenError};
use crate::db::{
    self, DatabaseError, NewDatabase, PreviousRoots, ResolvedRow, RootsRecord, StoredRoot,
    WriteLock,
};
use crate::graph::{BlobId, ExternalRoot, Graph, Walk};
use crate::model::authority::Authority;
use crate::model::{Code, Digest, HoldScope, is_repository_name, text_of};
use crate::roots::{Batch, Input, Origin, RootKind, RootsError, Source, readings, sha256_of};
use crate::scan::{self, Catalog, UnreadableRoot, blob_path};
use crate::storage::Storage;
use crate::trash;

/// How long files are waited for before the storage is walked: most are read by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Rows that go from the thread that reads to the one that writes at once, and how many times those wait.
const BATCH_ROWS: usize = 4096;
const BATCHES: usize = 4;

/// An export with fewer rows than this share of the last one is refused: half of a list keeps half of
/// what is in use.
const LEAST_PERCENT: u64 = 80;

/// Which roots a scan reads.
#[derive(Clone, Debug)]
pub enum RootsChoice {
    /// Those of this database's scan of the same storage, again; the scanned database when `None`.
    AsBefore(Option<PathBuf>),
    /// These files, or those of the last scan when there are none.
    Given {
        /// The files; `-` is standard input.
        files: Vec<PathBuf>,
        /// What keeps things; with files and without this, both.
        authority: Option<Authority>,
        /// An older or shorter export than last time is meant.
        is_fall_accepted: bool,
    },
}

/// Why the roots of a scan cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum RootsScanError {
    /// A file is not what it should be.
    #[error(transparent)]
    File(#[from] RootsError),
    /// They were given on standard input.
    #[error("the roots of the last scan came from standard input, and cannot be read again")]
    StandardInput,
    /// Roots are to be the authority, and there are none.
    #[error("--authority {0} without roots")]
    NoRoots(&'static str),
    /// The export is older than the last one.
    #[error("the roots in `{0}` are older than those that the last scan read")]
    Older(String),
    /// The export has far fewer rows than the last one.
    #[error("the roots have {}, and had {before} at the last scan", rows(*now))]
    Fewer {
        /// Now.
        now: u64,
        /// At the last scan.
        before: u64,
    },
    /// The export lists blobs, and no longer some that the last one did and that are still here.
    #[error("the roots no longer name {count} of {of} blobs here that they named at the last scan")]
    Forgotten {
        /// How many.
        count: u64,
        /// Of how many.
        of: u64,
    },
    /// Standard input is named more than once.
    #[error("standard input can be read once, and is given {0} times")]
    StandardInputAgain(usize),
    /// A file changed while the scan relied on it.
    #[error("the roots changed during the scan")]
    Changed,
    /// Nothing of them is here.
    #[error("nothing that the roots name ({}) is in this storage", rows(*count))]
    NothingHere {
        /// How many rows there are.
        count: u64,
    },
}

impl RootsScanError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::StandardInput => {
                "write them to a file and scan with --roots FILE, or forget them with scan \
                 --authority storage"
                    .into()
            }
            Self::StandardInputAgain(_) => "write the others to files".into(),
            Self::NoRoots(_) => "add --roots FILE (docs/roots.md has the exports)".into(),
            Self::Older(_) | Self::Fewer { .. } | Self::Forgotten { .. } => {
                "export them again, or scan with --accept-roots if that is right".into()
            }
            Self::Changed => "scan again when the export is finished".into(),
            Self::NothingHere { .. } => {
                "they may be of another registry, or from a database with other names of repositories"
                    .into()
            }
        })
    }
}

fn rows(count: u64) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}

/// The files of a scan's roots, and what they may be compared with.
struct Plan {
    paths: Vec<PathBuf>,
    authority: Authority,
    last: Option<PreviousRoots>,
    is_fall_accepted: bool,
    /// Where the last scan is.
    remembered: PathBuf,
    /// The rows of the last scan may be taken over where the files are the same.
    may_take_over: bool,
}

/// Roots whose rows lie in a new database, or in the one whose place that takes; by default none.
#[derive(Default)]
pub struct Read<'a> {
    pub authority: Authority,
    sources: Vec<Source>,
    rows: Rows<'a>,
    /// The last scan, if blobs that its roots named can be compared with those named now.
    before: Option<Before>,
}

#[derive(Default)]
enum Rows<'a> {
    #[default]
    None,
    Written(Box<NewDatabase<'a>>),
    /// The files are those of the last scan.
    AsBefore(Box<Plan>),
}

/// Roots that are being read beside the walk of the storage.
pub struct Reading<'scope, 'a>(State<'scope, 'a>);

enum State<'scope, 'a> {
    Done(Box<Read<'a>>),
    Running(ScopedJoinHandle<'scope, Result<Read<'a>, RootsReadError>>),
}

impl<'scope, 'a: 'scope> Reading<'scope, 'a> {
    /// Begins to read the roots of a scan of the storage at `root` into the database of `lock`. Files that are read
    /// in a moment are refused before the storage is walked.
    pub fn begin(
        scope: &'scope Scope<'scope, '_>,
        choice: &RootsChoice,
        lock: &'a WriteLock,
        root: &str,
        may_take_over: bool,
    ) -> Result<Self, RootsReadError> {
        let Some(plan) = plan(choice, lock.database(), root, may_take_over)? else {
            return Ok(Self(State::Done(Box::default())));
        };
        let (done, is_done) = sync_channel::<()>(0);
        let thread = scope.spawn(move || {
            let read = plan.read(lock);
            drop(done);
            read
        });
        Ok(Self(match is_done.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => State::Running(thread),
            _ => State::Done(Box::new(joined(thread)?)),
        }))
    }

    /// What was read.
    pub fn finish(self) -> Result<Read<'a>, RootsReadError> {
        match self.0 {
            State::Done(read) => Ok(*read),
            State::Running(thread) => joined(thread),
        }
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl<'a> Read<'a> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Equal when the same files say the same.
    pub fn fingerprint(&self) -> [u8; 32] {
        if self.is_empty() {
            return [0; 32];
        }
        let mut hash = Sha256::new();
        hash.update(self.authority.as_str());
        for source in &self.sources {
            hash.update(source.sha256);
            hash.update(source.path.as_os_str().as_encoded_bytes());
            hash.update(source.exported_ns.to_le_bytes());
        }
        hash.finalize().into()
    }

    /// A new database with all rows in it.
    pub fn database(&mut self, lock: &'a WriteLock) -> Result<NewDatabase<'a>, RootsReadError> {
        match std::mem::take(&mut self.rows) {
            Rows::None => Ok(NewDatabase::create(lock)?),
            Rows::Written(new) => Ok(*new),
            Rows::AsBefore(plan) => {
                let new = NewDatabase::create(lock)?;
                if new.copy_roots().is_ok() {
                    return Ok(new);
                }
                drop(new);
                let read = plan.write(NewDatabase::create(lock)?)?;
                let is_same = read.fingerprint() == self.fingerprint();
                match read.rows {
                    Rows::Written(new) if is_same => Ok(*new),
                    _ => Err(RootsScanError::Changed.into()),
                }
            }
        }
    }
}

/// What is to be read; `None` without roots.
fn plan(
    choice: &RootsChoice,
    database: &Path,
    root: &str,
    may_take_over: bool,
) -> Result<Option<Plan>, RootsReadError> {
    let remembered_in = match choice {
        RootsChoice::AsBefore(Some(other)) => other,
        _ => database,
    };
    let may_take_over = may_take_over && remembered_in == database;
    let before = db::previous_roots(remembered_in)?.filter(|before| before.root == root);
    let (files, authority, is_fall_accepted) = match choice {
        RootsChoice::AsBefore(_) => (&[][..], None, false),
        RootsChoice::Given { files, authority, is_fall_accepted } => {
            (files.as_slice(), *authority, *is_fall_accepted)
        }
    };
    if authority == Some(Authority::Storage) {
        return Ok(None);
    }
    let last = before.filter(|before| !before.sources.is_empty());
    if files.is_empty() && last.is_none() {
        return match authority {
            None => Ok(None),
            Some(authority) => Err(RootsScanError::NoRoots(authority.as_str()).into()),
        };
    }
    let again = last.iter().flat_map(|last| &last.sources).map(|source| source.path.clone());
    let paths: Vec<PathBuf> = if files.is_empty() { again.collect() } else { files.to_vec() };
    if files.is_empty() && paths.iter().any(|path| path == Path::new("-")) {
        return Err(RootsScanError::StandardInput.into());
    }
    match paths.iter().filter(|path| *path == Path::new("-")).count() {
        0 | 1 => {}
        count => return Err(RootsScanError::StandardInputAgain(count).into()),
    }
    let remembered = last.as_ref().map(|last| last.authority).filter(|_| files.is_empty());
    let authority = authority.or(remembered).unwrap_or(Authority::Both);
    let remembered = remembered_in.to_owned();
    Ok(Some(Plan { paths, authority, last, is_fall_accepted, remembered, may_take_over }))
}

impl Plan {
    fn read(self, lock: &WriteLock) -> Result<Read<'_>, RootsReadError> {
        match self.sources_as_before() {
            Some(sources) => {
                let authority = self.authority;
                let before = self.before(&sources, false);
                let rows = Rows::AsBefore(Box::new(self));
                Ok(Read { authority, sources, rows, before })
            }
            None => self.write(NewDatabase::create(lock)?),
        }
    }

    /// The files of the last scan, where these are the same.
    fn sources_as_before(&self) -> Option<Vec<Source>> {
        let last = self.last.as_ref().filter(|_| self.may_take_over)?;
        if self.paths.len() != last.sources.len() {
            return None;
        }
        let mut sources = last.sources.clone();
        for (path, source) in self.paths.iter().zip(&mut sources) {
            // It can be read once alone.
            if path == Path::new("-") {
                return None;
            }
            let input = Input::open(path).ok()?;
            if input.path() != source.path || input.exported_ns() != source.exported_ns {
                return None;
            }
            source.sha256 = sha256_of(path).ok()?;
        }
        let read = Read { authority: self.authority, sources, ..Read::default() };
        (Some(read.fingerprint()) == last.fingerprint).then_some(read.sources)
    }

    /// One thread reads, and this one writes.
    fn write<'a>(&self, new: NewDatabase<'a>) -> Result<Read<'a>, RootsReadError> {
        let (batches, received) = sync_channel(BATCHES);
        let (sources, written) = std::thread::scope(|scope| {
            let reader = scope.spawn(move || read_files(&self.paths, &batches));
            let written = new.write_roots(received.into_iter());
            (joined(reader), written)
        });
        let sources = sources.map_err(RootsScanError::from)?;
        written?;
        let last = self.last.as_ref().filter(|_| !self.is_fall_accepted);
        if let Some(last) = last {
            refuse_fall(last, &sources)?;
        }
        let rows = Rows::Written(Box::new(new));
        let mut read = Read { authority: self.authority, sources, rows, before: None };
        let is_same = last.is_some_and(|last| last.fingerprint == Some(read.fingerprint()));
        read.before = self.before(&read.sources, !self.is_fall_accepted && !is_same);
        Ok(read)
    }

    fn before(&self, sources: &[Source], is_refused: bool) -> Option<Before> {
        let lists_blobs = |sources: &[Source]| sources.iter().any(|source| source.has_blobs);
        let can_compare = self.authority == Authority::Both
            && lists_blobs(sources)
            && self.last.as_ref().is_some_and(|last| lists_blobs(&last.sources));
        can_compare.then(|| Before { database: self.remembered.clone(), is_refused })
    }
}

/// Sends all rows of all files. When the receiver is gone, its own error says why.
fn read_files(
    paths: &[PathBuf],
    batches: &SyncSender<(u32, Batch)>,
) -> Result<Vec<Source>, RootsError> {
    let mut sources = Vec::new();
    for (number, path) in (0_u32..).zip(paths) {
        let mut batch = Batch::default();
        let source = Input::open(path)?.read(&mut |row| {
            batch.push(row);
            if batch.len() == BATCH_ROWS {
                drop(batches.send((number, std::mem::take(&mut batch))));
            }
        })?;
        drop(batches.send((number, batch)));
        sources.push(source);
    }
    Ok(sources)
}

/// Why roots were not read.
#[derive(Debug)]
pub enum RootsReadError {
    Roots(RootsScanError),
    Database(DatabaseError),
}

impl From<RootsScanError> for RootsReadError {
    fn from(error: RootsScanError) -> Self {
        Self::Roots(error)
    }
}

impl From<DatabaseError> for RootsReadError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<ForgottenError> for RootsReadError {
    fn from(error: ForgottenError) -> Self {
        match error {
            ForgottenError::Database(error) => Self::Database(error),
            ForgottenError::Forgotten { count, of } => {
                Self::Roots(RootsScanError::Forgotten { count, of })
            }
        }
    }
}

fn refuse_fall(last: &PreviousRoots, sources: &[Source]) -> Result<(), RootsScanError> {
    let is_fewer = |now: u64, before: u64| now * 100 < before * LEAST_PERCENT;
    for source in sources {
        let known = last.sources.iter().find(|known| known.path == source.path);
        let Some(known) = known else { continue };
        if source.exported_ns < known.exported_ns {
            return Err(RootsScanError::Older(text_of(source.path.as_os_str())));
        }
        if is_fewer(source.row_count, known.row_count) {
            let (now, before) = (source.row_count, known.row_count);
            return Err(RootsScanError::Fewer { now, before });
        }
    }
    let count = |sources: &[Source]| sources.iter().map(|source| source.row_count).sum();
    let (now, before) = (count(sources), count(&last.sources));
    if is_fewer(now, before) {
        return Err(RootsScanError::Fewer { now, before });
    }
    let oldest = last.sources.iter().map(|source| source.exported_ns).min();
    match sources.iter().min_by_key(|source| source.exported_ns) {
        Some(source) if oldest.is_some_and(|oldest| source.exported_ns < oldest) => {
            Err(RootsScanError::Older(source.path.display().to_string()))
        }
        _ => Ok(()),
    }
}

/// Gives every digest a number that roots name and only the trash holds, so that what is needed again is
/// known. What is on disk or named there has one already, and the rest is nowhere.
pub fn add_absent(
    facts: &mut scan::Facts,
    new: &NewDatabase<'_>,
    storage: &dyn Storage,
) -> Result<(), DatabaseError> {
    let held = trash::held(storage, false);
    let moves = held.iter().flatten().flat_map(|run| &run.moves);
    let in_trash: HashSet<Digest> = moves.flat_map(|item| Digest::parse(&item.name)).collect();
    // In a trash that cannot be read may be anything.
    let may_be_there = |digest: &Digest| held.is_err() || in_trash.contains(digest);
    if held.is_ok() && in_trash.is_empty() {
        return Ok(());
    }
    let mut known: HashSet<Digest> = facts.absent.iter().cloned().collect();
    new.each_root_digest(|digest| {
        let is_present = || facts.blobs.binary_search_by(|blob| blob.digest.cmp(&digest)).is_ok();
        if may_be_there(&digest) && !is_present() && known.insert(digest.clone()) {
            facts.absent.push(digest);
        }
    })
}

/// Brings every row to what is on disk, lets the catalog keep that, and gives the graph again.
pub fn resolve(
    read: Read<'_>,
    new: &NewDatabase<'_>,
    catalog: &mut Catalog,
    graph: &Graph,
) -> Result<(RootsRecord, Graph), RootsReadError> {
    let fingerprint = read.fingerprint();
    let Read { sources, authority, before, .. } = read;
    let mut resolver = Resolver {
        catalog,
        graph,
        repositories: repositories(graph, &new.root_repositories()?),
        first_with: first_with(graph),
        external: Vec::new(),
        known_tags: Vec::new(),
        is_hidden: Vec::new(),
        has_streams: sources.iter().any(|source| source.has_streams),
    };
    let mut is_any_found = false;
    new.resolve_roots(|root| {
        let row = resolver.row(root);
        is_any_found |= row.is_some_and(|row| row.is_found);
        row
    })?;
    let Resolver { mut external, mut known_tags, mut is_hidden, .. } = resolver;
    if !is_any_found {
        let count = sources.iter().map(|source| source.row_count).sum();
        return Err(RootsScanError::NothingHere { count }.into());
    }
    external.sort_unstable_by_key(|root| (root.repository, root.blob, root.keeps_revisions));
    external.dedup();
    known_tags.sort_unstable();
    known_tags.dedup();
    is_hidden.sort_unstable();
    is_hidden.dedup();
    // A manifest that cannot be read may name anything.
    let holds: Vec<UnreadableRoot> = is_hidden
        .into_iter()
        .map(|blob| UnreadableRoot {
            scope: HoldScope::Storage,
            repository: None,
            blob: None,
            code: Code::ManifestTypeUnknown,
            path: blob_path(catalog, blob),
        })
        .collect();
    catalog.roots.extend(holds);
    catalog.external_roots = external;
    catalog.ignores_tags = authority == Authority::Roots;
    let graph = catalog.graph();
    let revisions = (0..).zip(&graph.repositories).flat_map(|(place, repository)| {
        let rooted: HashSet<BlobId> = repository.rooted.iter().copied().collect();
        let revisions = graph.revisions_of(repository).iter().copied();
        revisions.filter(move |blob| rooted.contains(blob)).map(move |blob| (place, blob))
    });
    let revisions = revisions.collect();
    let mut walk = Walk::new(&graph);
    walk.go(&graph, None, catalog.external_roots.iter().map(|root| root.blob));
    let named = walk.found().iter().flat_map(|id| graph.kept_blobs(*id)).copied();
    let mut known_blobs: Vec<BlobId> =
        named.chain(catalog.external_roots.iter().map(|root| root.blob)).collect();
    known_blobs.sort_unstable();
    known_blobs.dedup();
    if let Some(before) = before {
        known_blobs = before.known(catalog, &graph, known_blobs)?;
    }
    let record = RootsRecord {
        authority,
        sources,
        external: catalog.external_roots.clone(),
        known_blobs,
        known_tags,
        revisions,
        fingerprint,
    };
    Ok((record, graph))
}

/// What a repository's name in an export means here.
#[derive(Clone, Default)]
struct Named {
    place: Option<u32>,
    /// By every reading of the name.
    places: Vec<u32>,
}

fn repositories(graph: &Graph, names: &[String]) -> Vec<Named> {
    let place = |name: &str| {
        let repositories = &graph.repositories;
        let at = repositories.binary_search_by(|repository| repository.name.as_str().cmp(name));
        at.ok().map(|at| at as u32)
    };
    let meaning = |name: &String| {
        let readings = readings(name).filter(|name| is_repository_name(name));
        Named { place: place(name), places: readings.filter_map(|name| place(&name)).collect() }
    };
    names.iter().map(meaning).collect()
}

/// The first blob whose digest begins with each two bytes, and one more: a search among millions begins near its end.
fn first_with(graph: &Graph) -> Vec<u32> {
    let begin = |digest: &Digest| match digest {
        Digest::Sha256(hash) => usize::from(u16::from_be_bytes([hash[0], hash[1]])),
        Digest::Other(_) => 1 << 16,
    };
    let mut first_with = vec![0; (1 << 16) + 1];
    for blob in graph.blobs.iter() {
        first_with[begin(&blob.digest)] += 1;
    }
    let mut sum = 0;
    for count in &mut first_with {
        sum += std::mem::replace(count, sum);
    }
    first_with
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    graph: &'a Graph,
    /// By number in the new database.
    repositories: Vec<Named>,
    first_with: Vec<u32>,
    external: Vec<ExternalRoot>,
    /// By place in the graph.
    known_tags: Vec<u32>,
    /// On disk, named as manifests, and not understood.
    is_hidden: Vec<BlobId>,
    /// Image streams say which revisions of an OpenShift image stay.
    has_streams: bool,
}

impl Resolver<'_> {
    fn row(&mut self, root: &StoredRoot<'_>) -> Option<ResolvedRow> {
        let blob = root.digest.as_ref().and_then(|digest| self.blob(digest));
        let (mut named, mut is_found) = (blob, false);
        if let Some(blob) = blob {
            let repository = root.repository.and_then(|number| self.named(number).place);
            is_found = self.graph.blobs[blob as usize].size_bytes.is_some();
            // A stream may name what was pushed to another one: the registry serves it without a link.
            let needs_no_link = match root.origin {
                Origin::Image => true,
                Origin::ImageStream => repository.is_none(),
                Origin::Other => false,
            };
            let keeps_revisions = !(self.has_streams && needs_no_link);
            let external = ExternalRoot { repository, blob, keeps_revisions };
            self.external.push(external);
            if root.kind == RootKind::Manifest && is_found {
                self.manifest(external);
            }
        }
        if let (Some(number), Some(tag)) = (root.repository, root.tag) {
            for at in 0..self.named(number).places.len() {
                let place = self.named(number).places[at];
                let repository = &self.graph.repositories[place as usize];
                let tags = self.graph.tags_of(repository);
                let Ok(at) = tags.binary_search_by(|node| node.name.as_str().cmp(tag)) else {
                    continue;
                };
                self.known_tags.push(repository.tags.start + at as u32);
                // With a digest the export says what the tag points at.
                let Some(target) = tags[at].target.filter(|_| blob.is_none()) else { continue };
                named = named.or(Some(target));
                is_found = true;
                self.external.push(ExternalRoot {
                    repository: Some(place),
                    blob: target,
                    keeps_revisions: true,
                });
            }
        }
        named.map(|blob| ResolvedRow { blob, is_found })
    }

    fn named(&self, number: u32) -> &Named {
        &self.repositories[number as usize]
    }

    fn blob(&self, digest: &Digest) -> Option<BlobId> {
        let Digest::Sha256(hash) = digest else { return self.graph.blob_by_digest(digest) };
        let begin = usize::from(u16::from_be_bytes([hash[0], hash[1]]));
        let (start, end) = (self.first_with[begin], self.first_with[begin + 1]);
        let blobs = &self.graph.blobs[start as usize..end as usize];
        let at = blobs.binary_search_by(|blob| blob.digest.cmp(digest)).ok()?;
        Some(start + at as BlobId)
    }

    /// A manifest is kept with all that it names; an image id leads to the manifests with that config.
    fn manifest(&mut self, root: ExternalRoot) {
        let blob = root.blob;
        let Some(id) = self.graph.manifest_at(blob) else {
            let mut is_config = false;
            for id in self.graph.manifests_with_config(blob) {
                is_config = true;
                let blob = self.graph.manifests[id as usize];
                self.external.push(ExternalRoot { blob, ..root });
            }
            if !is_config && self.catalog.maybe_manifests.binary_search(&blob).is_ok() {
                self.is_hidden.push(blob);
            }
            return;
        };
        let is_revision = |repository: &scan::CatalogRepository| {
            repository.revisions.binary_search_by_key(&blob, |revision| revision.name).is_ok()
        };
        // In a repository a damaged revision holds what that links.
        if self.catalog.manifests[id as usize].fault.is_some()
            && !self.catalog.repositories.iter().any(is_revision)
        {
            self.is_hidden.push(blob);
        }
    }
}
