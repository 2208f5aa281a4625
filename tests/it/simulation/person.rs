//! The library's deletion, undo and purge over the world: before each call that they make, others act.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use regsql::graph::Graph;
use regsql::model::progress::{Hidden, Progress};
use regsql::model::{Digest, Name};
use regsql::prune::{
    self, Chosen, Clock, Environment, Marked, NeededAgain, NeededToUndo, Plan, PlannedDeletion,
    Policy, Protect, RunOptions, ServingRegistry,
};
use regsql::scan::{self, Depth, Look};
use regsql::storage::{
    Access, Content, Entry, FileFacts, FilesystemStorage, Fill, HeldLock, Layout, Leaf,
    LeafOptions, LeafState, Location, MountId, Storage, StorageWriter, Streamed,
};
use regsql::trash::{self, PurgeOptions, StorageLock};
use tempfile::TempDir;

use super::content::{self, LAYERS, MANIFESTS, REPOSITORIES, TAGS};
use super::registry::{Cache, Registry, Request, Running};
use super::world::{Action, History, Operation, World, places};

/// How long a person waits for pushes under way.
const WAIT: Duration = Duration::from_millis(150);

/// A mending that is taken out, to see that the simulator finds the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// Asking the registry whether it has forgotten: it always says so.
    AskingTheRegistry,
    /// Asking whether it has forgotten what clients deleted: layers.
    AskingForDeletedLinks,
    /// The same of manifests.
    AskingForDeletedManifests,
    /// Seeing that a client deleted the second name of a layer.
    SeeingDeletedNames,
    /// The second look at the repositories: it sees what the first one saw.
    SecondLook,
    /// The wait for pushes under way.
    Wait,
    /// Knowing that others write: the person says that the registry is stopped.
    TheTruth,
    /// The registry's API: links are taken on disk alone.
    Api,
    /// Sparing manifests that the registry may remember.
    SparingManifests,
    /// Looking whether something needs what a purge removes, and bringing back first what a run took
    /// that was stopped.
    LookBeforePurge,
    /// The pause before a registry starts whose machine is another one.
    PauseBeforeStart,
    /// Looking after runs that were killed.
    Recovery,
    /// Leaving what a run in the trash needs to be undone, when nothing else goes to the trash.
    SparingUndo,
}

/// Where locks are taken, and whose mounts are asked for: both need a real directory.
pub struct Anchor {
    storage: FilesystemStorage,
    _directory: TempDir,
}

impl Anchor {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::new(directory.path().to_owned(), content::V2.into());
        Self { storage: FilesystemStorage::open(location).unwrap(), _directory: directory }
    }
}

/// A history that is being run.
pub struct Simulation<'a> {
    anchor: &'a Anchor,
    without: Without,
    world: Mutex<World>,
    /// Others act only in calls of this thread: those of others come in no order.
    thread: ThreadId,
}

/// How a history ended.
pub struct Ended {
    pub failure: Option<String>,
    pub trace: Vec<String>,
}

impl<'a> Simulation<'a> {
    /// Runs a history to its end, or until something is lost.
    pub fn run(anchor: &'a Anchor, history: &History, without: Without, is_traced: bool) -> Ended {
        let world = Mutex::new(World::new(history, is_traced));
        let simulation = Self { anchor, without, world, thread: std::thread::current().id() };
        loop {
            let mut world = simulation.world();
            if world.failure.is_some() || world.events.is_empty() {
                break;
            }
            let event = world.next_event();
            match event.what {
                Action::Operation(operation) => {
                    drop(world);
                    simulation.operate(operation);
                }
                _ => world.happens(event),
            }
        }
        let mut world = simulation.world.into_inner().unwrap_or_else(PoisonError::into_inner);
        world.finish_older_than(i64::MAX);
        Ended { failure: world.failure, trace: world.trace }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a call: others act.
    fn call(&self) -> MutexGuard<'_, World> {
        let mut world = self.world();
        if std::thread::current().id() == self.thread {
            world.others_act();
        }
        world
    }

    /// Before a call that changes something.
    fn change(
        &self,
        what: impl FnOnce() -> String,
        change: impl FnOnce(&mut World) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut world = self.call();
        world.begin_change()?;
        let changed = change(&mut world);
        world.note(|| match &changed {
            Ok(()) => format!("regsql: {}", what()),
            Err(error) => format!("regsql: {}: {}", what(), error.kind()),
        });
        changed
    }

    fn operate(&self, operation: Operation) {
        let is_open = !matches!(operation, Operation::Prune { is_online: false, .. })
            || self.without == Without::TheTruth;
        self.world().begin_operation(operation, is_open);
        let is_well = match operation {
            Operation::Prune { is_online, keeps_trash, min_age, pick } => {
                self.prune(is_online, keeps_trash, min_age, pick)
            }
            Operation::Undo => self.undo(),
            Operation::Purge { includes_unfinished } => self.purge(includes_unfinished),
        };
        let mut world = self.world();
        if matches!(operation, Operation::Prune { .. }) {
            world.has_unfinished = !is_well;
        }
        if !world.has_unfinished {
            world.promises.settle();
        }
        world.check();
        // As the docs say: a stopped registry starts when its machine sees what is gone.
        if !is_open && self.without != Without::PauseBeforeStart {
            world.registry.wait_for_lag();
        }
        world.end_operation();
    }

    fn scan(&self) -> Graph {
        let walked = scan::walk(Look::full(self, Depth::Deep), &Hidden);
        scan::build(scan::read_manifests(self, walked, None, &Hidden)).1
    }

    fn now(&self) -> jiff::Timestamp {
        let world = self.world();
        let ahead_ns = i128::from(world.clock_days) * 86_400_000_000_000;
        let now_ns = i128::from(world.registry.disk.now_ns()) + ahead_ns;
        jiff::Timestamp::from_nanosecond(now_ns).unwrap()
    }

    fn runs(&self) -> BTreeSet<String> {
        let entries = self.world().registry.disk.list(Path::new(".regsql/trash"));
        let names = entries.unwrap_or_default().into_iter();
        names.map(|entry| entry.name.into_string().unwrap()).collect()
    }

    /// Puts back what runs took that were stopped, as `prune --delete` does first.
    fn recover(&self) -> Result<(), String> {
        let failed = |error: trash::TrashError| error.to_string();
        if trash::aside::is_left(self) {
            let lock = StorageLock::take(self).map_err(failed)?;
            trash::aside::restore(self, &lock).map_err(|error| error.to_string())?;
        }
        if trash::held(self, true).map_err(failed)?.is_empty() {
            return Ok(());
        }
        let lock = StorageLock::take(self).map_err(failed)?;
        for held in trash::held(self, true).map_err(failed)? {
            let report = trash::roll_back(self, &lock, &held.run, self.now()).map_err(failed)?;
            self.world().note(|| format!("regsql: {report:?}"));
            if !report.failures.is_empty() {
                return Err("not all came back".into());
            }
            if report.is_removed {
                self.check_undone(&held.run);
            } else {
                self.world().returned(&held.run);
            }
        }
        Ok(())
    }

    /// Whether all that is needed is known to be in its place.
    fn prune(&self, is_online: bool, keeps_trash: bool, min_age: Duration, pick: u32) -> bool {
        let is_cached = self.world().registry.cache != Cache::Off;
        let has_registry = is_online && is_cached && self.without != Without::Api;
        if self.without != Without::Recovery
            && let Err(why) = self.recover()
        {
            self.world().note(|| format!("regsql: {why}"));
            return false;
        }
        let before = self.runs();
        let is_online = is_online && self.without != Without::TheTruth;
        let options = RunOptions {
            keeps_trash,
            is_online,
            wait: if self.without == Without::Wait { Duration::ZERO } else { WAIT },
            registry: has_registry.then_some(self as &dyn ServingRegistry),
            has_names: false,
        };
        let plan_again = || {
            let graph = self.scan();
            let clock = Clock { now_ns: self.world().registry.disk.now_ns(), min_age };
            let policy = Policy {
                clock,
                upload_min_age: min_age,
                protect: Protect::default(),
                keeps_revisions: false,
                spares_active_repositories: is_online,
                spares_manifests: has_registry && self.without != Without::SparingManifests,
                needed_to_undo: self.needed_to_undo(&graph, keeps_trash),
                marked: Marked::default(),
                only: None,
            };
            let plan = prune::plan(chosen(&graph, pick), &policy);
            let mut world = self.world();
            world.take_planned(&graph, &plan);
            if self.without == Without::SecondLook {
                world.old_disk = Some(world.registry.disk.clone());
            }
            Ok::<_, Infallible>(Planned { graph, plan, clock })
        };
        let deleted = prune::run(self, &options, &Surroundings(self), plan_again);
        let run = self.runs().difference(&before).next().cloned();
        let mut world = self.world();
        let is_recorded = match &deleted {
            Ok(deleted) => deleted.is_recorded && !world.is_killed(),
            Err(_) => !world.is_killed(),
        };
        if let Ok(deleted) = &deleted {
            for skipped in &deleted.outcome.skipped {
                world.note(|| format!("regsql: {} stays: {}", skipped.name.text(), skipped.reason));
            }
        }
        world.has_unfinished = !is_recorded;
        world.end_plan(run.filter(|_| keeps_trash));
        is_recorded
    }

    /// What must stay so that what is in the trash can be undone.
    fn needed_to_undo(&self, graph: &Graph, keeps_trash: bool) -> NeededToUndo {
        if keeps_trash || self.without == Without::SparingUndo {
            return NeededToUndo::default();
        }
        let runs = trash::held(self, false).unwrap_or_default();
        NeededToUndo::new(graph, self, &runs)
    }

    fn undo(&self) -> bool {
        let Ok(lock) = StorageLock::take(self) else { return false };
        let Ok(run) = trash::newest(self) else { return true };
        let report = trash::undo(self, &lock, &run);
        self.world().note(|| format!("regsql: undo of {run}: {report:?}"));
        let Ok(report) = report else { return false };
        if !report.is_removed {
            self.world().returned(&run);
            return report.failures.is_empty();
        }
        self.check_undone(&run)
    }

    /// What a run took is promised again, and must be back.
    fn check_undone(&self, run: &str) -> bool {
        let mut world = self.world();
        let went = world.runs.remove(run).unwrap_or_default();
        for (what, mut promise) in went {
            let link = what.link();
            let written_ns = world.registry.written.get(&link).copied();
            // Somebody pushed there again, or deleted it.
            if written_ns > Some(promise.written_ns) || world.registry.removed.contains(&link) {
                continue;
            }
            if !world.is_in_place(what, promise) {
                let why = format!("{} is not back after undo", what.name(promise.id));
                world.note(|| format!("LOST: {why}"));
                world.failure.get_or_insert(why);
                return false;
            }
            promise.is_settled = false;
            world.promises.all.entry(what).or_insert(promise);
        }
        true
    }

    fn purge(&self, includes_unfinished: bool) -> bool {
        if includes_unfinished
            && !matches!(self.without, Without::Recovery | Without::LookBeforePurge)
        {
            drop(self.recover());
        }
        let Ok(lock) = StorageLock::take(self) else { return false };
        let Ok(runs) = trash::held(self, false) else { return false };
        let needed = match self.without {
            Without::LookBeforePurge => NeededAgain::default(),
            _ if runs.is_empty() => NeededAgain::default(),
            _ => NeededAgain::new(&self.scan(), self, &runs),
        };
        let options = PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished };
        let report = trash::purge(self, &lock, &options, &|item| needed.has(item));
        let mut world = self.world();
        world.note(|| format!("regsql: purge: {report:?}"));
        if let Ok(report) = report {
            for purged in report.runs {
                world.runs.remove(&purged.run);
            }
        } else {
            world.runs.clear();
        }
        world.check();
        true
    }
}

/// What a person chooses of what is there: garbage, and one bit for each tag and more.
fn chosen(graph: &Graph, pick: u32) -> Chosen<'_> {
    let mut chosen = Chosen::nothing(graph);
    chosen.is_garbage_chosen = true;
    for node in &graph.repositories {
        let Some(place) = REPOSITORIES.iter().position(|name| *name == node.name) else {
            continue;
        };
        for tag in graph.tags_of(node) {
            let at = TAGS.iter().position(|name| *name == tag.name).unwrap_or(0);
            if pick >> (place * TAGS.len() + at) & 1 == 1 {
                let (repository, tag) = (node.name.clone(), tag.name.clone());
                chosen.add(Name::Tag { repository, tag, manifest_digest: None });
            }
        }
        if pick >> (16 + place) & 1 == 1 {
            chosen.add(Name::Repository { repository: node.name.clone() });
        }
        let is_tagged = |blob: u32| graph.tags_of(node).iter().any(|tag| tag.target == Some(blob));
        if pick >> (20 + place) & 1 == 1 {
            for &blob in graph.revisions_of(node).iter().filter(|blob| !is_tagged(**blob)) {
                let (repository, digest) = (node.name.clone(), &graph.blobs[blob as usize].digest);
                chosen.add(Name::Revision { repository, manifest_digest: digest.to_string() });
            }
        }
    }
    chosen
}

struct Planned {
    graph: Graph,
    plan: Plan,
    clock: Clock,
}

impl PlannedDeletion for Planned {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn clock(&self) -> Clock {
        self.clock
    }
}

struct Surroundings<'a>(&'a Simulation<'a>);

impl Environment for Surroundings<'_> {
    fn note(&self, text: &str) {
        self.0.world().note(|| format!("regsql: {text}"));
    }

    fn warn(&self, text: &str) {
        self.note(text);
    }

    fn detail(&self, _: &str) {}

    fn progress(&self) -> &dyn Progress {
        &Hidden
    }

    fn stop_count(&self) -> u32 {
        0
    }

    fn sleep(&self, duration: Duration) {
        self.0.call().registry.disk.pass(duration);
    }

    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    fn before(&self, step: prune::Step) {
        let mut world = self.0.world();
        world.is_second_look = step == prune::Step::Recheck;
        match step {
            prune::Step::Wait => {
                world.waits_since_ns = Some(world.registry.disk.now_ns());
            }
            // No request takes longer than the wait.
            prune::Step::Recheck => {
                if let Some(since_ns) = world.waits_since_ns.take() {
                    world.finish_older_than(since_ns);
                }
                world.note(|| "regsql looks a second time".into());
            }
            _ => {}
        }
    }
}

impl ServingRegistry for Simulation<'_> {
    fn delete_link(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        let (repository, id) = places(repository, digest);
        self.delete(Request::DeleteLayer { repository, id }, repository)
    }

    fn delete_revision(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        let (repository, id) = places(repository, digest);
        self.delete(Request::DeleteManifest { repository, id }, repository)
    }

    fn serves_link(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        let (repository, id) = places(repository, digest);
        let mut world = self.call();
        let is_deleted = world.registry.is_deleted(repository, id);
        let is_asked = match self.without {
            Without::AskingTheRegistry => false,
            Without::AskingForDeletedLinks if LAYERS.contains(&id) => !is_deleted,
            Without::AskingForDeletedManifests if MANIFESTS.contains(&id) => !is_deleted,
            _ => true,
        };
        Ok(world.registry.serves(repository, id) && is_asked)
    }

    fn serves_revision(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        self.serves_link(repository, digest)
    }
}

impl Simulation<'_> {
    fn delete(&self, request: Request, repository: usize) -> Result<(), String> {
        let mut running = Running::new(request);
        loop {
            let mut world = self.call();
            if world.is_killed() {
                return Err("killed".into());
            }
            if world.own_delete(&mut running, repository) {
                return Ok(());
            }
        }
    }

    /// Looks at the disk, or at what it was when the plan was made, for a look that is taken out.
    fn see<T>(
        &self,
        path: &Path,
        see: impl FnOnce(&super::disk::Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let world = self.call();
        let is_hidden = world.is_second_look && path.starts_with(content::V2);
        see(world.old_disk.as_ref().filter(|_| is_hidden).unwrap_or(&world.registry.disk))
    }
}

impl Storage for Simulation<'_> {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let entries = self.see(directory, |disk| disk.list(directory));
        self.world().looked_at(directory);
        entries
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        let entries = self.see(directory, |disk| disk.list(directory))?;
        let hides_names =
            self.without == Without::SeeingDeletedNames && directory.ends_with("_layers/sha512");
        let mut leaves = Vec::new();
        for entry in entries {
            // One that vanished since is still a name that was listed.
            let (state, others) = (LeafState::Missing, Vec::new());
            let gone = |name| Leaf { name, state, others, beside: None };
            let found =
                self.see(directory, |disk| Ok(disk.leaf(directory, &entry.name, leaf, options)))?;
            let found = found.unwrap_or_else(|| gone(entry.name));
            if !hides_names || !matches!(found.state, LeafState::Missing) {
                leaves.push(found);
            }
        }
        Ok(leaves)
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.see(path, |disk| disk.stat(path))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        self.see(path, |disk| {
            let bytes = disk.read(path)?;
            let wanted = bytes.len().min(limit as usize);
            Ok(Content { bytes: bytes[..wanted].to_vec(), is_whole: wanted == bytes.len() })
        })
    }

    fn stream(
        &self,
        path: &Path,
        _: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        let facts = self.stat(path)?;
        let content = self.read(path, u64::MAX)?;
        let _all_was_given = take(&content.bytes);
        Ok(Streamed { facts, bytes: content.bytes.len() as u64 })
    }

    fn root(&self) -> &Path {
        Path::new("/registry")
    }

    fn layout(&self) -> &Layout {
        self.anchor.storage.layout()
    }
}

impl StorageWriter for Simulation<'_> {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.change(
            || format!("mkdir {}", path.display()),
            |world| world.registry.disk.create_directory(path),
        )
    }

    fn create_directory_as(&self, path: &Path, _: Access) -> io::Result<()> {
        self.create_directory(path)
    }

    fn access(&self, path: &Path) -> io::Result<Access> {
        self.stat(path).map(|facts| Access { uid: 0, gid: 0, mode: facts.permissions })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(
            || format!("rename {} to {}", from.display(), to.display()),
            |world| {
                world.takes(from);
                world.registry.disk.rename_new(from, to)?;
                // What came back is there again; a directory may come back without its link.
                let Registry { removed, disk, .. } = &mut world.registry;
                removed.retain(|path| !path.starts_with(to) || disk.stat(path).is_err());
                world.check();
                Ok(())
            },
        )
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(
            || format!("rm {}", path.display()),
            |world| {
                world.takes(path);
                world.registry.disk.remove_file(path)?;
                world.check();
                Ok(())
            },
        )
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.change(
            || format!("rmdir {}", path.display()),
            |world| world.registry.disk.remove_directory(path),
        )
    }

    fn write_new_with(&self, path: &Path, fill: Fill<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        self.change(
            || format!("write {}", path.display()),
            |world| world.registry.disk.write_new(path, &bytes),
        )
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(
            || format!("copy {} to {}", from.display(), to.display()),
            |world| world.registry.disk.copy_new(from, to),
        )
    }

    fn mount_of(&self, _: &Path) -> io::Result<MountId> {
        self.anchor.storage.mount_of(Path::new(""))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<HeldLock>> {
        let own = if path.as_os_str().is_empty() { "" } else { "lock" };
        self.anchor.storage.lock(Path::new(own))
    }
}
