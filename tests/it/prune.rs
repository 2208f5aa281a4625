//! Proof that a prune loses no image: damaged storages, random registries, kills and failures at
//! every call, and changes between plan and act.

mod changes;
mod crash;
mod damaged;
mod mend;
mod model;
mod odd;
mod protected;
mod pulls;

use std::cell::Cell;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use regsql::progress::Hidden;
use regsql::prune::{
    Act, Chosen, Clock, Done, Means, Name, Phase, Plan, Policy, Protect, Steps, Way, plan,
};
use regsql::removal::StoredGraph;
use regsql::sample::RegistryBuilder;
use regsql::scan::DeepLook;
use regsql::snapshot::{ScanOptions, scan};
use regsql::storage::{FilesystemStorage, StorageWriter, locate};
use regsql::trash::{RunSummary, StorageLock, TrashError, TrashRun, undo};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::tree::Tree;

/// A registry on disk with a database beside it.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn of(registry: &RegistryBuilder) -> Self {
        // In memory where there is such a place: these tests wait for the disk thousands of times.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let disk = Self { directory: tempfile::tempdir_in(place).unwrap() };
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
    fn graph(&self) -> StoredGraph {
        let database = self.directory.path().join("registry.db");
        let options = ScanOptions {
            storage: self.root(),
            database: database.clone(),
            io_threads: NonZeroUsize::new(2).unwrap(),
            is_full: false,
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_regsql"));
        command
            .args(["--db", "registry.db"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
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
        clock: Clock { now_ns: now.as_nanos() as i64, min_age: Duration::ZERO },
        upload_min_age: Duration::ZERO,
        protect: Protect::default(),
        keeps_revisions: false,
        spares_active_repositories: false,
        spares_manifests: false,
        only: None,
    }
}

/// All garbage and these, planned.
fn plan_of(graph: &StoredGraph, names: impl IntoIterator<Item = Name>) -> Plan {
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
    /// Is told the number of each step before it is made.
    before_step: &'a dyn Fn(u64),
}

/// Carries a plan out as the command does.
fn act_as(
    storage: &dyn StorageWriter,
    graph: &StoredGraph,
    plan: &Plan,
    how: &How<'_>,
) -> Result<Done, TrashError> {
    let lock = lock(storage)?;
    let steps = Steps::new(plan, graph, storage);
    let way = if how.uses_trash {
        Way::Trash(Box::new(TrashRun::begin(storage, &lock, jiff::Timestamp::now(), &steps.moves)?))
    } else {
        Way::Direct
    };
    let step = Cell::new(0);
    let before_step = || {
        (how.before_step)(step.get());
        step.set(step.get() + 1);
        false
    };
    let means = Means {
        storage,
        way,
        clock: policy().clock,
        links: None,
        is_stopped: &before_step,
        advance: &|_| {},
    };
    let mut act = Act::new(graph, &steps, means);
    act.run(Phase::References);
    act.sweep();
    act.run(Phase::Data);
    if how.is_online {
        act.sweep();
    }
    let (done, way) = act.done(true);
    if let Way::Trash(run) = way {
        run.finish(&RunSummary {
            taken: done.counts,
            size_bytes: done.size_bytes,
            put_back_count: done.put_back_count,
            finished_at: jiff::Timestamp::now(),
        })?;
    }
    Ok(done)
}

fn act(
    storage: &dyn StorageWriter,
    graph: &StoredGraph,
    plan: &Plan,
    uses_trash: bool,
) -> Result<Done, TrashError> {
    act_as(storage, graph, plan, &How { uses_trash, is_online: false, before_step: &|_| {} })
}
