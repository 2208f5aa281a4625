//! The steps of a deletion, one by one.
//!
//! The plan was made over a scan of a moment ago. Still each item is looked at when its turn comes:
//! what has changed since stays, and so does all that it needs. Then, before blobs go, all
//! repositories are read again ([`super::recheck`]).

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::age::Clock;
use super::name::{Name, SkipGroup, Skipped};
use super::need::Needed;
use super::online::ServingRegistry;
use super::paths;
use super::run::{Environment, PlannedDeletion, Step};
use super::steps::{Steps, Target};
use crate::graph::Graph;
use crate::storage::StorageWriter;
use crate::trash::aside::Aside;
use crate::trash::{self, Counts, MoveKind, PutBack, RemovedDirectory, TrashRun};

/// Where deleted things go.
pub enum Destination<'s> {
    /// To the trash.
    Trash(Box<TrashRun<'s>>),
    /// Beside their place, until it is sure that nothing needs them; then nowhere.
    Aside(Aside<'s>),
    /// Nowhere: they are removed at once.
    Nowhere,
}

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
    /// What went and did not come back.
    pub counts: Counts,
    /// Bytes of that.
    pub size_bytes: u64,
    /// Repositories of which nothing is left.
    pub repositories: u64,
    /// Of the blobs, those whose content was wrong.
    pub corrupt_blobs: u64,
    /// Files and directories that interrupted writes had left.
    pub leftovers: u64,
    /// The names of all that went, in that order, if they were asked for.
    pub names: Vec<Name>,
    /// How many things came back because something needed them.
    pub put_back_count: u64,
    /// What stays, and why.
    pub skipped: Vec<Skipped>,
    /// A person stopped it.
    pub is_interrupted: bool,
}

/// A deletion under way.
pub struct Executor<'a> {
    pub(super) storage: &'a dyn StorageWriter,
    pub(super) graph: &'a Graph,
    pub(super) steps: &'a Steps,
    pub(super) destination: Destination<'a>,
    pub(super) clock: Clock,
    pub(super) registry: Option<&'a dyn ServingRegistry>,
    environment: &'a dyn Environment,
    states: Vec<State>,
    places: HashMap<u64, u32>,
    hasher: RandomState,
    /// The repositories of the graph by where they lie.
    pub(super) places_by_directory: HashMap<PathBuf, u32>,
    /// Directories that were young when the work began; taking what is in them makes all young.
    young_directories: HashSet<usize>,
    /// Repositories of which a directory stays, and which are reported.
    reported_repositories: HashSet<u32>,
    /// What must stay although the plan says otherwise.
    pub(super) needed: Needed,
    skipped: Vec<Skipped>,
    put_back_count: u64,
    is_interrupted: bool,
    /// What is aside is being removed.
    is_finishing: bool,
    /// A rename into the trash was refused because of the file system.
    cannot_rename: Cell<bool>,
    /// Something was to be moved or removed, whatever came of it.
    pub(super) has_touched: Cell<bool>,
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
    fn has(self, target: Target) -> bool {
        let is_reference =
            matches!(target, Target::Tag(..) | Target::Revision(..) | Target::LayerLink(..));
        is_reference == (self == Self::References)
    }
}

impl<'a> Executor<'a> {
    /// Nothing is done yet. `registry`: one that may remember what is removed.
    pub fn new(
        planned: &'a dyn PlannedDeletion,
        steps: &'a Steps,
        storage: &'a dyn StorageWriter,
        destination: Destination<'a>,
        registry: Option<&'a dyn ServingRegistry>,
        environment: &'a dyn Environment,
    ) -> Self {
        let (graph, clock) = (planned.graph(), planned.clock());
        let hasher = RandomState::new();
        let all = (0..).zip(&steps.moves);
        let places = all.map(|(at, item)| (hasher.hash_one(&item.path), at)).collect();
        let layout = storage.layout();
        let repositories = (0..).zip(&graph.repositories);
        let places_by_directory = repositories
            .filter_map(|(place, node)| Some((paths::repository(layout, &node.name)?, place)))
            .collect();
        let is_young = |at: &usize| {
            matches!(steps.targets[*at], Target::Directory(_))
                && !storage
                    .stat(&steps.moves[*at].path)
                    .is_ok_and(|facts| !clock.is_fresh(Some(facts.modified_ns)))
        };
        let young_directories = (0..steps.moves.len()).filter(is_young).collect();
        let mut executor = Self {
            storage,
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
            needed: Needed::default(),
            skipped: Vec::new(),
            put_back_count: 0,
            is_interrupted: false,
            is_finishing: false,
            cannot_rename: Cell::new(false),
            has_touched: Cell::new(false),
        };
        for &target in &steps.unnamed {
            executor.stays(target);
            executor.skip(
                SkipGroup::Failed,
                target.name(graph, steps),
                "its name leads to no path",
            );
        }
        executor
    }

    /// Makes all steps of a phase, in order.
    pub fn run(&mut self, phase: Phase) {
        for at in 0..self.steps.moves.len() {
            let target = self.steps.targets[at];
            if !phase.has(target) {
                continue;
            }
            if self.environment.is_stopped() {
                self.is_interrupted = true;
                return;
            }
            self.environment.before(Step::Remove(at));
            self.environment.progress().advance(1);
            match self.step(at, target) {
                Ok(()) => self.states[at] = State::Taken,
                // It would be so for each of them.
                Err(_) if self.unrenamable().is_some() => return,
                Err((group, reason)) => {
                    self.states[at] = State::Skipped;
                    self.stays(target);
                    // An upload or directory that is gone by itself is no news, and a repository has
                    // several directories.
                    let is_news = match target {
                        Target::Directory(place) => {
                            group != SkipGroup::NotThere && self.reported_repositories.insert(place)
                        }
                        _ => group != SkipGroup::NotThere,
                    };
                    if is_news {
                        self.skip(group, target.name(self.graph, self.steps), reason);
                    }
                }
            }
        }
    }

    fn step(&mut self, at: usize, target: Target) -> Result<(), (SkipGroup, String)> {
        if self.is_needed(at, target) {
            return Err((SkipGroup::Needed, "something that stays or is new needs it".into()));
        }
        let steps = self.steps;
        let path = &steps.moves[at].path;
        match target {
            Target::Tag(_, tag) => {
                self.check_tag(&path.join("current/link"), tag, target)?;
                self.take(path, Some("current/link"))?;
                self.recheck_tag(path, target)
            }
            Target::Revision(_, revision) => {
                let pushed_ns = self.graph.revisions_pushed_ns[revision as usize];
                self.check_link(&path.join("link"), pushed_ns)?;
                self.take_link(path, target)
            }
            Target::LayerLink(_, link) => {
                let linked_ns = self.graph.links[link as usize].linked_ns;
                self.check_link(&path.join("link"), linked_ns)?;
                self.take_link(path, target)
            }
            Target::Upload(upload) => {
                let active_ns = self.graph.uploads[upload as usize].active_ns;
                self.check_upload(path, active_ns)?;
                self.take(path, None)
            }
            Target::Blob(blob) => {
                self.check_blob(path, &self.graph.blobs[blob as usize])?;
                self.take(path, Some("data"))
            }
            Target::Corrupt(blob) => {
                self.check_corrupt(path, &self.graph.blobs[blob as usize])?;
                self.take(path, Some("data"))
            }
            Target::Leftover(_) => {
                self.check_old(path)?;
                match self.steps.moves[at].kind {
                    MoveKind::Directory => self.remove_directory(path),
                    _ => self.take(path, None),
                }
            }
            // It is not empty before what is aside has gone.
            Target::Directory(_)
                if matches!(self.destination, Destination::Aside(_)) && !self.is_finishing =>
            {
                Err((SkipGroup::NotThere, String::new()))
            }
            Target::Directory(_) if self.young_directories.contains(&at) => {
                Err((SkipGroup::NotYet, "its directory is younger than --min-age".into()))
            }
            // A repository that keeps `_manifests` must keep `_layers`: the registry's own collector
            // stops at one without it.
            Target::Directory(_)
                if path.ends_with("_layers")
                    && self.storage.stat(&path.with_file_name("_manifests")).is_ok() =>
            {
                Err((SkipGroup::NotThere, String::new()))
            }
            Target::Directory(_) => self.remove_directory(path),
        }
    }

    pub(super) fn take(&self, path: &Path, last: Option<&str>) -> Result<(), (SkipGroup, String)> {
        self.has_touched.set(true);
        match &self.destination {
            Destination::Trash(run) => run.take(path).map_err(|error| {
                if error.kind() == io::ErrorKind::CrossesDevices {
                    self.cannot_rename.set(true);
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
                let left = trash::direct::remove(self.storage, path, last.as_deref());
                match left.map_err(|error| failed(&error))?.first() {
                    Some(left) => Err((SkipGroup::Failed, left.reason.to_string())),
                    None => Ok(()),
                }
            }
        }
    }

    fn remove_directory(&self, path: &Path) -> Result<(), (SkipGroup, String)> {
        self.has_touched.set(true);
        let removed = match &self.destination {
            Destination::Trash(run) => {
                run.remove_empty_directory(path).map_err(|error| failed(&error))?
            }
            Destination::Aside(_) | Destination::Nowhere => match self
                .storage
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

    /// Moves something back out of the trash, if this run took it. False when it is gone for good.
    pub(super) fn put_back(&mut self, path: &Path) -> io::Result<bool> {
        let Some(&at) = self.places.get(&self.hasher.hash_one(path)) else {
            return Ok(true);
        };
        let put_back = match (&self.destination, file_of(self.steps.targets[at as usize])) {
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

    /// Whether the plan is to take this path away.
    pub(super) fn is_step(&self, path: &Path) -> bool {
        self.places.contains_key(&self.hasher.hash_one(path))
    }

    /// Whether a path is that of a blob that goes because its content is wrong: no image is mended by it.
    pub(super) fn is_corrupt(&self, path: &Path) -> bool {
        let at = self.places.get(&self.hasher.hash_one(path));
        at.is_some_and(|at| matches!(self.steps.targets[*at as usize], Target::Corrupt(_)))
    }

    /// Notes that something stays.
    pub(super) fn skip(&mut self, group: SkipGroup, name: Name, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(group, name, reason));
    }

    /// Steps that were made and hold.
    pub(super) fn taken(&self) -> impl Iterator<Item = (usize, Target)> + '_ {
        let all = self.states.iter().zip(&self.steps.targets).enumerate();
        all.filter(|(_, (state, _))| **state == State::Taken).map(|(at, (_, target))| (at, *target))
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
        let taken: Vec<(usize, Target)> = self.taken().collect();
        let steps = self.steps;
        for (at, target) in taken.iter().copied().rev().filter(|_| !is_sure) {
            let name = target.name(self.graph, steps);
            match self.put_back(&steps.moves[at].path) {
                Ok(_) => {}
                Err(error) => self.skip(SkipGroup::Failed, name, error.to_string()),
            }
        }
        if !is_sure {
            return;
        }
        for (at, target) in taken {
            let path = &steps.moves[at].path;
            let file = file_of(target).map(|file| path.join(file));
            let Destination::Aside(aside) = &self.destination else {
                return;
            };
            let reason = match aside.remove(path, file.as_deref()) {
                Ok(left) => left.first().map(|left| left.reason.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = reason {
                self.states[at] = State::Skipped;
                self.skip(SkipGroup::Failed, target.name(self.graph, steps), reason);
            }
        }
        self.is_finishing = true;
        for (at, &target) in steps.targets.iter().enumerate() {
            if matches!(target, Target::Directory(_)) && self.step(at, target).is_ok() {
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
            ..Outcome::default()
        };
        for (at, target) in self.taken() {
            let item = &self.steps.moves[at];
            outcome.counts.add(item.kind);
            outcome.size_bytes = outcome.size_bytes.saturating_add(item.size_bytes);
            outcome.corrupt_blobs += u64::from(matches!(target, Target::Corrupt(_)));
            outcome.leftovers += u64::from(matches!(target, Target::Leftover(_)));
            if has_names && !matches!(target, Target::Directory(_)) {
                outcome.names.push(target.name(self.graph, self.steps));
            }
        }
        for place in self.gone_repositories() {
            outcome.repositories += 1;
            if has_names {
                outcome.names.push(Target::Directory(place).name(self.graph, self.steps));
            }
        }
        (outcome, self.destination)
    }

    /// Repositories of the plan of which nothing is left, although others may lie in their directory.
    fn gone_repositories(&self) -> Vec<u32> {
        let mut places: Vec<u32> = self
            .taken()
            .filter_map(|(_, target)| match target {
                Target::Directory(place) => Some(place),
                _ => None,
            })
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

/// The file that makes a thing visible to a registry.
pub(super) fn file_of(target: Target) -> Option<&'static str> {
    match target {
        Target::Tag(..) => Some("current/link"),
        Target::Revision(..) | Target::LayerLink(..) => Some("link"),
        Target::Blob(_) | Target::Corrupt(_) => Some("data"),
        Target::Upload(_) | Target::Leftover(_) | Target::Directory(_) => None,
    }
}

pub(super) fn failed(error: &io::Error) -> (SkipGroup, String) {
    (SkipGroup::Failed, error.to_string())
}
