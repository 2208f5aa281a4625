//! The steps of a deletion, one by one.
//!
//! The plan was made over a scan of a moment ago. Still each item is looked at when its turn comes:
//! what has changed since stays, and so does all that it needs. Then, before blobs go, all
//! repositories are read again ([`super::recheck`]).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::age::Clock;
use super::environment::{Environment, PlannedDeletion, ServingRegistry, Step};
use super::name::{SkipGroup, Skipped};
use super::places;
use super::steps::Steps;
use crate::graph::{Graph, Item};
use crate::model::{ByKind, Kind, Name};
use crate::storage::{Storage, StorageWriter, paths};
use crate::trash::aside::Aside;
use crate::trash::{self, MoveKind, PutBack, RemovedDirectory, Remover, Trash};

/// Where deleted things go.
pub enum Destination<'s> {
    /// To the trash.
    Trash(Box<dyn Remover + 's>),
    /// Beside their place, until it is sure that nothing needs them; then nowhere.
    Aside(Aside<'s>),
    /// Nowhere: they are removed at once.
    Nowhere,
}

/// Why a reference stays once the disk is full.
const NO_ROOM: &str = "the disk is full; a run with more room takes it";

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Taken,
    PutBack,
    Skipped,
}

/// What a deletion did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What went and did not come back; of repositories those of which nothing is left.
    pub counts: ByKind<u64>,
    /// The same as the trash counts it: every directory of a repository.
    pub moved: trash::Counts,
    /// Bytes of that.
    pub size_bytes: u64,
    /// The names of all that went, in that order, if they were asked for.
    pub names: Vec<Name>,
    /// How many things came back because something needed them.
    pub put_back_count: u64,
    /// What stays, and why.
    pub skipped: Vec<Skipped>,
    /// A person stopped it.
    pub is_interrupted: bool,
    /// The disk had no room for something.
    pub is_disk_full: bool,
}

/// What must stay.
#[derive(Debug, Default)]
pub struct Needed {
    pub(super) paths: HashSet<PathBuf>,
    pub(super) repositories: HashSet<PathBuf>,
    pub(super) is_everything: bool,
    /// Why, where it is not that something else needs it.
    pub(super) reasons: HashMap<PathBuf, (SkipGroup, String)>,
}

/// A deletion under way.
pub struct Executor<'a> {
    pub(super) storage: &'a dyn Storage,
    /// The calls of a file system, for what goes without a trash.
    writer: Option<&'a dyn StorageWriter>,
    pub(super) graph: &'a Graph,
    pub(super) steps: &'a Steps,
    pub(super) destination: Destination<'a>,
    pub(super) clock: Clock,
    pub(super) registry: Option<&'a dyn ServingRegistry>,
    pub(super) environment: &'a dyn Environment,
    states: Vec<State>,
    places: HashMap<u64, u32>,
    hasher: RandomState,
    /// The repositories of the graph by where they lie.
    pub(super) places_by_directory: HashMap<PathBuf, u32>,
    /// Directories that were young when the work began; taking what is in them makes all young.
    young_directories: HashSet<usize>,
    /// Repositories of which a directory stays, and which are reported.
    reported_repositories: HashSet<u32>,
    /// Steps that are made, and go to the trash with others of their kind in one go.
    pending: RefCell<Vec<PathBuf>>,
    /// What must stay although the plan says otherwise.
    pub(super) needed: Needed,
    skipped: Vec<Skipped>,
    put_back_count: u64,
    is_interrupted: bool,
    /// What is aside is being removed.
    is_finishing: bool,
    /// The disk had no room for something.
    is_disk_full: Cell<bool>,
    /// A rename into the trash was refused because of the file system.
    cannot_rename: Cell<bool>,
    /// Something was to be moved or removed, whatever came of it.
    pub(super) has_touched: Cell<bool>,
    /// Something in a repository was taken or came back since the storage was listed.
    has_changed_names: Cell<bool>,
}

/// The kinds of steps that a phase makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Tags, revisions and layer links.
    References,
    /// Uploads, blobs, and what is left of repositories.
    Data,
}

impl Phase {
    fn has(self, kind: Kind) -> bool {
        let is_reference =
            matches!(kind, Kind::Tag | Kind::TagHistory | Kind::Revision | Kind::LayerLink);
        is_reference == (self == Self::References)
    }
}

impl<'a> Executor<'a> {
    /// Nothing is done yet. `registry`: one that may remember what is removed.
    pub fn new(
        planned: &'a dyn PlannedDeletion,
        steps: &'a Steps,
        trash: &'a dyn Trash,
        destination: Destination<'a>,
        registry: Option<&'a dyn ServingRegistry>,
        environment: &'a dyn Environment,
    ) -> Self {
        let (graph, clock) = (planned.graph(), planned.clock());
        let (storage, writer) = (trash.storage(), trash.writer());
        let hasher = RandomState::new();
        let all = (0..).zip(&steps.moves);
        let places = all.map(|(at, item)| (hasher.hash_one(&item.path), at)).collect();
        let layout = storage.layout();
        let repositories = (0..).zip(&graph.repositories);
        let places_by_directory = repositories
            .filter_map(|(place, node)| Some((paths::repository(layout, &node.name)?, place)))
            .collect();
        let is_young = |at: &usize| {
            steps.items[*at].kind == Kind::Repository
                && !storage
                    .stat(&steps.moves[*at].path)
                    .is_ok_and(|facts| !clock.is_fresh(Some(facts.modified_ns)))
        };
        let young_directories = (0..steps.moves.len()).filter(is_young).collect();
        let mut executor = Self {
            storage,
            writer,
            graph,
            steps,
            destination,
            clock,
            registry,
            environment,
            states: vec![State::Waiting; steps.moves.len()],
            places,
            hasher,
            places_by_directory,
            young_directories,
            reported_repositories: HashSet::new(),
            pending: RefCell::default(),
            needed: Needed::default(),
            skipped: Vec::new(),
            put_back_count: 0,
            is_interrupted: false,
            is_finishing: false,
            is_disk_full: Cell::new(false),
            cannot_rename: Cell::new(false),
            has_touched: Cell::new(false),
            has_changed_names: Cell::new(true),
        };
        for &item in &steps.unnamed {
            executor.stays(item);
            executor.skip(SkipGroup::Failed, item, "its name leads to no path");
        }
        executor
    }

    /// Makes all steps of a phase, in order.
    pub fn run(&mut self, phase: Phase) {
        let mut last = None;
        for at in 0..self.steps.moves.len() {
            let item = self.steps.items[at];
            if !phase.has(item.kind) {
                continue;
            }
            if last.replace(item.kind) != Some(item.kind) {
                self.take_pending();
                self.look_anew(item.kind);
            }
            if self.environment.is_stopped() {
                self.is_interrupted = true;
                break;
            }
            self.environment.before(Step::Remove(at));
            self.environment.progress().advance(1);
            // What little room there is belongs to the data of what has gone: more links in the trash would
            // free nothing.
            if phase == Phase::References && self.is_disk_full.get() {
                self.not_taken(at, SkipGroup::Failed, NO_ROOM.into());
                continue;
            }
            match self.step(at, item) {
                Ok(()) => self.states[at] = State::Taken,
                // It would be so for each of them.
                Err(_) if self.unrenamable().is_some() => return,
                Err((group, reason)) => self.not_taken(at, group, reason),
            }
            if self.pending.borrow().len() >= self.batch_size() {
                self.take_pending();
            }
        }
        self.take_pending();
    }

    fn not_taken(&mut self, at: usize, group: SkipGroup, reason: String) {
        let item = self.steps.items[at];
        self.states[at] = State::Skipped;
        self.return_failed(at, item);
        self.stays(item);
        // What is gone by itself needs no line, and a repository has several directories.
        if group != SkipGroup::NotThere
            && (item.kind != Kind::Repository || self.reported_repositories.insert(item.at))
        {
            self.skip(group, item, reason);
        }
    }

    /// Directories are the last: what is left in them shows only now. In a bucket that is what the last look
    /// showed, unless something went or came back since.
    fn look_anew(&mut self, kind: Kind) {
        let is_old = self.is_of_files() || self.has_changed_names.get();
        if kind == Kind::Repository && is_old && self.refresh().is_err() {
            self.require_everything();
        }
    }

    /// Forgets what was listed.
    pub(super) fn refresh(&self) -> io::Result<()> {
        self.storage.refresh()?;
        self.has_changed_names.set(false);
        Ok(())
    }

    /// How many steps of one kind are made in one go.
    fn batch_size(&self) -> usize {
        match &self.destination {
            Destination::Trash(run) => run.batch_size(),
            Destination::Aside(_) | Destination::Nowhere => 1,
        }
    }

    /// Takes something now, or with others of its kind where that is better.
    pub(super) fn take_soon(
        &self,
        path: &Path,
        last: Option<&str>,
    ) -> Result<(), (SkipGroup, String)> {
        if self.batch_size() == 1 {
            return self.take(path, last);
        }
        self.has_touched.set(true);
        let at = self.places.get(&self.hasher.hash_one(path));
        let is_data = |at: &u32| {
            matches!(self.steps.items[*at as usize].kind, Kind::Blob | Kind::CorruptBlob)
        };
        self.has_changed_names.set(self.has_changed_names.get() || !at.is_some_and(is_data));
        self.pending.borrow_mut().push(path.to_owned());
        Ok(())
    }

    /// Takes what was put off.
    fn take_pending(&mut self) {
        let pending = self.pending.take();
        let Destination::Trash(run) = &self.destination else { return };
        if pending.is_empty() {
            return;
        }
        let paths: Vec<&Path> = pending.iter().map(PathBuf::as_path).collect();
        let results = run.take_all(&paths);
        for (path, result) in pending.iter().zip(results) {
            let at = self.places.get(&self.hasher.hash_one(path)).copied();
            if let (Err(error), Some(at)) = (result, at) {
                let group = match error.kind() {
                    io::ErrorKind::NotFound => SkipGroup::NotThere,
                    io::ErrorKind::AlreadyExists => SkipGroup::Changed,
                    _ => SkipGroup::Failed,
                };
                self.not_taken(at as usize, group, error.to_string());
            }
        }
    }

    fn step(&mut self, at: usize, item: Item) -> Result<(), (SkipGroup, String)> {
        let steps = self.steps;
        let path = &steps.moves[at].path;
        if self.is_needed(at, item) {
            return Err(match self.needed.reasons.get(path) {
                Some(reason) => reason.clone(),
                None => (SkipGroup::Needed, "something that stays or is new needs it".into()),
            });
        }
        let changed_ns = self.graph.changed_ns_of(item);
        let file = places::file_of(item.kind);
        match item.kind {
            Kind::Tag => {
                self.check_tag(&path.join("current/link"), item)?;
                self.take_soon(path, file)?;
                self.recheck_tag(path, item)
            }
            Kind::TagHistory => {
                self.check_old(&path.join("link"))?;
                self.check_history(path)?;
                self.take_soon(path, file)?;
                // A push may have set the tag between the look and the rename.
                self.check_history(path)
            }
            Kind::Revision | Kind::LayerLink => {
                self.check_link(&path.join("link"), changed_ns)?;
                self.take_link(path, item)
            }
            Kind::Upload => {
                self.check_upload(path, changed_ns)?;
                self.take_soon(path, file)
            }
            Kind::Blob => {
                self.check_blob(path, &self.graph.blobs[item.at as usize])?;
                self.take_soon(path, file)
            }
            Kind::CorruptBlob => {
                self.check_corrupt(path, &self.graph.blobs[item.at as usize])?;
                self.take_soon(path, file)
            }
            Kind::Leftover => {
                self.check_old(path)?;
                match self.steps.moves[at].kind {
                    MoveKind::Directory => self.remove_directory(path),
                    _ => self.take_soon(path, None),
                }
            }
            // It is not empty before what is aside has gone.
            Kind::Repository
                if matches!(self.destination, Destination::Aside(_)) && !self.is_finishing =>
            {
                Err((SkipGroup::NotThere, String::new()))
            }
            Kind::Repository if self.young_directories.contains(&at) => {
                Err((SkipGroup::NotYet, "its directory is younger than --min-age".into()))
            }
            // A repository that keeps `_manifests` must keep `_layers`: the registry's own collector
            // stops at one without it.
            Kind::Repository
                if path.ends_with("_layers")
                    && self.storage.stat(&path.with_file_name("_manifests")).is_ok() =>
            {
                Err((SkipGroup::NotThere, String::new()))
            }
            Kind::Repository => self.remove_directory(path),
        }
    }

    pub(super) fn take(&self, path: &Path, last: Option<&str>) -> Result<(), (SkipGroup, String)> {
        self.has_touched.set(true);
        self.has_changed_names.set(true);
        match &self.destination {
            Destination::Trash(run) => run.take(path).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::CrossesDevices => self.cannot_rename.set(true),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        self.is_disk_full.set(true);
                    }
                    _ => {}
                }
                failed(&error)
            }),
            Destination::Aside(aside) if last.is_some() => {
                let taken = aside.take(&path.join(last.unwrap_or_default()));
                match taken {
                    // A tag that never had a link.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    taken => taken.map_err(|error| failed(&error)),
                }
            }
            Destination::Aside(_) | Destination::Nowhere => {
                let last = last.map(|last| path.join(last));
                let left = trash::direct::remove(self.writer()?, path, last.as_deref());
                match left.map_err(|error| failed(&error))?.first() {
                    Some(left) => Err((SkipGroup::Failed, left.reason.to_string())),
                    None => Ok(()),
                }
            }
        }
    }

    fn remove_directory(&self, path: &Path) -> Result<(), (SkipGroup, String)> {
        self.must_be_forgotten(path)?;
        self.has_touched.set(true);
        let removed = match &self.destination {
            Destination::Trash(run) => {
                run.remove_empty_directory(path).map_err(|error| failed(&error))?
            }
            Destination::Aside(_) | Destination::Nowhere => match self
                .writer()?
                .remove_directory(path)
            {
                Ok(()) => RemovedDirectory::Done,
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    RemovedDirectory::NotEmpty
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => RemovedDirectory::NotThere,
                Err(error) => return Err(failed(&error)),
            },
        };
        match removed {
            RemovedDirectory::Done => Ok(()),
            // A directory above may hold other repositories.
            RemovedDirectory::NotEmpty | RemovedDirectory::NotThere => {
                Err((SkipGroup::NotThere, String::new()))
            }
        }
    }

    /// Whether the storage is a file system, which tells one write from another.
    pub(super) fn is_of_files(&self) -> bool {
        self.writer.is_some()
    }

    fn writer(&self) -> Result<&'a dyn StorageWriter, (SkipGroup, String)> {
        self.writer
            .ok_or_else(|| (SkipGroup::NotAllowed, "nothing goes here without a trash".into()))
    }

    /// Moves something back out of the trash, if this run took it. False when it is gone for good.
    pub(super) fn put_back(&mut self, path: &Path) -> io::Result<bool> {
        self.has_changed_names.set(true);
        self.take_pending();
        let Some(&at) = self.places.get(&self.hasher.hash_one(path)) else {
            return Ok(true);
        };
        let put_back =
            match (&self.destination, places::file_of(self.steps.items[at as usize].kind)) {
                (Destination::Trash(run), _) => run.put_back(path)?,
                (Destination::Aside(aside), Some(file)) => aside.put_back(&path.join(file))?,
                _ => {
                    // Someone may have written it again.
                    let is_there = || self.storage.stat(path).is_ok();
                    return Ok(self.states[at as usize] != State::Taken || is_there());
                }
            };
        match put_back {
            PutBack::Done => {
                self.states[at as usize] = State::PutBack;
                self.put_back_count += 1;
                Ok(true)
            }
            PutBack::PlaceTaken | PutBack::NotThere => Ok(true),
        }
    }

    /// A step that failed may have done its work before, or a part of it: what it took comes back. Where
    /// that fails too, the run counts as one that was stopped, and the next one puts it back.
    fn return_failed(&mut self, at: usize, item: Item) {
        let path = &self.steps.moves[at].path;
        let lies_apart = match (&self.destination, places::file_of(item.kind)) {
            (Destination::Trash(run), _) => run.stat_taken(path),
            (Destination::Aside(aside), Some(file)) => aside.stat(&path.join(file)),
            _ => return,
        };
        match lies_apart {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => {
                if self.put_back(path).is_err() {
                    self.require_everything();
                }
            }
        }
    }

    /// Whether the plan is to take this path away.
    pub(super) fn is_step(&self, path: &Path) -> bool {
        self.places.contains_key(&self.hasher.hash_one(path))
    }

    /// Whether this run has taken what lay at a path.
    pub(super) fn is_taken(&self, path: &Path) -> bool {
        let at = self.places.get(&self.hasher.hash_one(path));
        at.is_some_and(|at| self.states[*at as usize] == State::Taken)
    }

    /// Whether a step was made and holds, or is still to be made.
    pub(super) fn may_go(&self, at: usize, item: Item) -> bool {
        matches!(self.states[at], State::Waiting | State::Taken) && !self.is_needed(at, item)
    }

    /// Whether a path is that of a blob that goes because its content is wrong: no image is mended by it.
    pub(super) fn is_corrupt(&self, path: &Path) -> bool {
        let at = self.places.get(&self.hasher.hash_one(path));
        at.is_some_and(|at| self.steps.items[*at as usize].kind == Kind::CorruptBlob)
    }

    /// Notes that something stays.
    pub(super) fn skip(&mut self, group: SkipGroup, item: Item, reason: impl Into<String>) {
        let name = self.steps.name_of(self.graph, item);
        self.skipped.push(Skipped::new(group, name, reason));
    }

    /// Steps that were made and hold.
    pub(super) fn taken(&self) -> impl Iterator<Item = (usize, Item)> + '_ {
        let all = self.states.iter().zip(&self.steps.items).enumerate();
        all.filter(|(_, (state, _))| **state == State::Taken).map(|(at, (_, item))| (at, *item))
    }

    /// Whether the trash may hold anything of this run, or the disk lack anything. A step that failed
    /// may have done its work all the same: a registry may remove a link and not live to say so.
    pub fn has_touched(&self) -> bool {
        self.has_touched.get()
    }

    /// The first thing that cannot be renamed into the trash, if nothing could.
    pub fn unrenamable(&self) -> Option<&Path> {
        let is_first = self.cannot_rename.get() && self.taken().next().is_none();
        is_first.then(|| self.steps.moves.first().map(|item| item.path.as_path())).flatten()
    }

    /// Removes for good what is aside, or puts it back when it is not known whether something needs it.
    pub fn end_aside(&mut self, is_sure: bool) {
        if !matches!(self.destination, Destination::Aside(_)) {
            return;
        }
        let taken: Vec<(usize, Item)> = self.taken().collect();
        let steps = self.steps;
        for (at, item) in taken.iter().copied().rev().filter(|_| !is_sure) {
            if let Err(error) = self.put_back(&steps.moves[at].path) {
                self.skip(SkipGroup::Failed, item, error.to_string());
            }
        }
        if !is_sure {
            return;
        }
        for (at, item) in taken {
            let path = &steps.moves[at].path;
            let file = places::file_of(item.kind).map(|file| path.join(file));
            let Destination::Aside(aside) = &self.destination else {
                return;
            };
            let reason = match aside.remove(path, file.as_deref()) {
                Ok(left) => left.first().map(|left| left.reason.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = reason {
                self.states[at] = State::Skipped;
                self.skip(SkipGroup::Failed, item, reason);
            }
        }
        self.is_finishing = true;
        for (at, &item) in steps.items.iter().enumerate() {
            if item.kind == Kind::Repository && self.step(at, item).is_ok() {
                self.states[at] = State::Taken;
            }
        }
        if let Destination::Aside(aside) = &self.destination {
            aside.finish();
        }
    }

    /// What was done so far. Names of all that went take as much memory as the plan.
    pub fn finish(mut self, has_names: bool) -> (Outcome, Destination<'a>) {
        let mut outcome = Outcome {
            put_back_count: self.put_back_count,
            skipped: std::mem::take(&mut self.skipped),
            is_interrupted: self.is_interrupted,
            is_disk_full: self.is_disk_full.get(),
            ..Outcome::default()
        };
        for (at, _) in self.taken() {
            outcome.moved.add(self.steps.moves[at].kind);
        }
        let parts = self.taken().map(|(_, item)| item).filter(|item| item.kind != Kind::Repository);
        let repositories = self.gone_repositories().into_iter();
        for item in parts.chain(repositories.map(|at| Item::new(Kind::Repository, at))) {
            outcome.counts[item.kind] += 1;
            let size_bytes = self.graph.size_bytes_of(item);
            outcome.size_bytes = outcome.size_bytes.saturating_add(size_bytes);
            if has_names {
                outcome.names.push(self.steps.name_of(self.graph, item));
            }
        }
        (outcome, self.destination)
    }

    /// Repositories of the plan of which nothing is left, although others may lie in their directory.
    fn gone_repositories(&self) -> Vec<u32> {
        let mut places: Vec<u32> = self
            .taken()
            .filter(|(_, item)| item.kind == Kind::Repository)
            .map(|(_, item)| item.at)
            .collect();
        places.sort_unstable();
        places.dedup();
        let is_gone = |path: &Path| {
            self.storage.stat(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        places.retain(|place| {
            self.directory(*place).is_some_and(|directory| {
                ["_manifests", "_layers", "_uploads"]
                    .iter()
                    .all(|part| is_gone(&directory.join(part)))
            })
        });
        places
    }
}

pub(super) fn failed(error: &io::Error) -> (SkipGroup, String) {
    (SkipGroup::Failed, error.to_string())
}
