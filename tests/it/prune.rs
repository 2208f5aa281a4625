//! Proof that a prune loses no image: damaged storages, random registries, kills and failures at
//! every call, and changes between plan and act.

mod again;
mod beside;
mod changes;
mod crash;
mod damaged;
mod mend;
mod model;
mod odd;
mod protected;
pub mod pulls;
mod roots;
mod surer;
mod taking;
mod without_trash;

use std::cell::Cell;
use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use regsql::graph::Graph;
use regsql::model::Name;
use regsql::model::progress::{Hidden, Progress};
use regsql::prune::{
    Chosen, Clock, Environment, Outcome, Plan, PlannedDeletion, Policy, Protect, RunError,
    RunOptions, ServingRegistry, Step, plan,
};
use regsql::sample::RegistryBuilder;
use regsql::scan::DeepLook;
use regsql::snapshot::{Reuse, RootsChoice, ScanOptions, scan};
use regsql::storage::{FilesystemStorage, StorageWriter, locate};
use regsql::trash::{StorageLock, TrashError, undo};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::tree::Tree;

/// A registry on disk with a database beside it.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn of(registry: &RegistryBuilder) -> Self {
        let disk = Self { directory: crate::env::directory_in_memory() };
        registry.write_to(&disk.root()).unwrap();
        disk
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    fn storage(&self) -> FilesystemStorage {
        FilesystemStorage::open(locate(&self.root()).unwrap()).unwrap()
    }

    fn tree(&self) -> Tree {
        Tree::of_registry(&self.root())
    }

    /// Scans, and reads back what the scan wrote.
    fn graph(&self) -> Graph {
        let database = self.directory.path().join("registry.db");
        let options = ScanOptions {
            storage: self.root(),
            database: database.clone(),
            io_threads: NonZeroUsize::new(2).unwrap(),
            reuse: Reuse::Files,
            replaces: false,
            max_vanished_percent: None,
            roots: RootsChoice::AsBefore(None),
            deep: DeepLook::Auto,
        };
        scan(&options, &Hidden).unwrap();
        regsql::db::read_graph(&Connection::open(database).unwrap()).unwrap()
    }

    /// Runs in the trash, the newest first.
    fn runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.below(".regsql/trash")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.reverse();
        names
    }

    /// Undoes all runs, as a person would.
    fn undo_all(&self, when: &str) {
        let storage = self.storage();
        let lock = lock(&storage).unwrap();
        for run in self.runs() {
            let report = undo(&storage, &lock, &run).unwrap();
            assert!(report.is_whole() && report.is_removed, "{when}: {report:?}");
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::env::regsql();
        command.args(["--db", "registry.db"]).args(arguments).current_dir(self.directory.path());
        command
    }

    fn regsql(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Scans and prunes with the real program; it must end as done or with findings.
    fn prune(&self, arguments: &[&str]) -> serde_json::Value {
        self.regsql(&["scan", "registry"]);
        let output = self.regsql(&[&["prune"], arguments, &ACTING].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {error}", output.status);
        assert!(!error.contains("panicked"), "{error}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
    }
}

/// Deletes whatever is planned, at once and without a question.
const ACTING: [&str; 8] = [
    "--min-age=0s",
    "--max-delete-percent=100",
    "--delete",
    "--offline",
    "--yes",
    "--format=json",
    "--max-scan-age=0s",
    "--quiet",
];

/// Age does not matter.
fn policy() -> Policy {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Policy {
        upload_min_age: Duration::ZERO,
        ..Policy::of_any_age(now.as_nanos() as i64, Protect::default())
    }
}

/// All garbage and these, planned.
fn plan_of(graph: &Graph, names: impl IntoIterator<Item = Name>) -> Plan {
    let mut chosen = Chosen::nothing(graph);
    chosen.is_garbage_chosen = true;
    for name in names {
        chosen.add(name);
    }
    plan(chosen, &policy())
}

fn tag(repository: &str, tag: &str) -> Name {
    Name::Tag { repository: repository.into(), tag: tag.into(), manifest_digest: None }
}

/// Takes the lock of a storage. A program that another test is just starting holds all that this
/// process has locked, until it has begun.
fn lock(storage: &dyn StorageWriter) -> Result<StorageLock, TrashError> {
    for _ in 0..200 {
        match StorageLock::take(storage) {
            Err(TrashError::Locked(_)) => std::thread::sleep(Duration::from_millis(10)),
            taken => return taken,
        }
    }
    StorageLock::take(storage)
}

/// How a plan is carried out.
struct How<'a> {
    uses_trash: bool,
    /// Looks once more at the end, as beside a registry that takes pushes.
    is_online: bool,
    /// The running registry, when it may remember what is removed.
    registry: Option<&'a dyn ServingRegistry>,
    /// Gets the number of each step before it is made.
    before_step: &'a dyn Fn(u64),
}

impl How<'_> {
    /// Beside nobody.
    const fn alone(uses_trash: bool) -> Self {
        How { uses_trash, is_online: false, registry: None, before_step: &|_| {} }
    }

    /// Beside a registry that takes pushes and remembers nothing.
    const fn online(uses_trash: bool) -> Self {
        How { uses_trash, is_online: true, registry: None, before_step: &|_| {} }
    }
}

/// A plan over a graph, when age does not matter.
struct Made<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
}

impl PlannedDeletion for Made<'_> {
    fn graph(&self) -> &Graph {
        self.graph
    }

    fn plan(&self) -> &Plan {
        self.plan
    }

    fn clock(&self) -> Clock {
        policy().clock
    }
}

/// Nothing stops it, nothing is shown, and no time passes.
pub struct Unattended<'a> {
    /// Called before each step.
    pub before: &'a dyn Fn(Step),
}

impl Environment for Unattended<'_> {
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn detail(&self, _: &str) {}

    fn progress(&self) -> &dyn Progress {
        &Hidden
    }

    fn stop_count(&self) -> u32 {
        0
    }

    fn sleep(&self, _: Duration) {}

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn before(&self, step: Step) {
        (self.before)(step);
    }
}

/// Carries a plan out, by the very function that the command calls.
fn act_as(
    storage: &dyn StorageWriter,
    graph: &Graph,
    plan: &Plan,
    how: &How<'_>,
) -> Result<Outcome, TrashError> {
    // The lock may be another test's for a moment (see `lock`).
    drop(lock(storage)?);
    let options = RunOptions {
        keeps_trash: how.uses_trash,
        is_online: how.is_online,
        wait: if how.is_online { Duration::from_mins(10) } else { Duration::ZERO },
        registry: how.registry,
        has_names: true,
    };
    let count = Cell::new(0);
    let before = |step| {
        if matches!(step, Step::Remove(_) | Step::Wait | Step::Recheck) {
            (how.before_step)(count.get());
            count.set(count.get() + 1);
        }
    };
    let environment = Unattended { before: &before };
    let planned = || Ok::<_, Infallible>(Made { graph, plan });
    match regsql::prune::run(storage, &options, &environment, planned) {
        Ok(deleted) => Ok(deleted.outcome),
        Err(RunError::Trash(error)) => Err(error),
        Err(RunError::Plan(never)) => match never {},
        Err(RunError::Stopped) => unreachable!("nothing stops it"),
    }
}

fn act(
    storage: &dyn StorageWriter,
    graph: &Graph,
    plan: &Plan,
    uses_trash: bool,
) -> Result<Outcome, TrashError> {
    act_as(storage, graph, plan, &How::alone(uses_trash))
}
