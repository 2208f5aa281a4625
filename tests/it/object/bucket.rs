//! A registry in a bucket of memory, and its deletion by the function that the command calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use regsql::graph::Graph;
use regsql::model::Name;
use regsql::model::progress::Hidden;
use regsql::prune::{
    Chosen, Clock, Environment, Marked, NeededAgain, Outcome, Plan, PlannedDeletion, Policy,
    Protect, RunError, RunOptions, ServingRegistry, Step, plan,
};
use regsql::sample::{Descriptor, RegistryBuilder};
use regsql::scan::DeepLook;
use regsql::snapshot::{Reuse, RootsChoice, ScanOptions, scan};
use regsql::storage::object::memory::{MemoryBucket, Provider, Settings};
use regsql::storage::object::{Bucket, ObjectStorage};
use regsql::trash::object::{MARGIN, ObjectOptions, ObjectTrash, Way};
use regsql::trash::{PurgeOptions, PurgeReport, Trash, TrashError};
use walkdir::WalkDir;

use crate::prune::Unattended;

/// What all keys begin with.
pub const PREFIX: &str = "team/registry/";

/// A bucket, and what a scan of it says.
pub struct Registry {
    pub bucket: MemoryBucket,
    pub graph: Graph,
    /// Everything that was pushed.
    pub before: BTreeMap<String, Vec<u8>>,
}

/// What tests name.
pub struct Things {
    pub old_layer: Descriptor,
}

/// Two tags that go, an index, a referrer, an orphan, and images that stay and share with them.
pub fn sample() -> (RegistryBuilder, Things) {
    let mut registry = RegistryBuilder::new();
    let [shared, old_layer, own] = [("shared", 900), ("old", 800), ("own", 700)]
        .map(|(name, size)| registry.layer(name, size));
    registry.image("a").layers([&shared, &old_layer]).push_tag("old");
    registry.image("a").layers([&shared, &own]).push_tag("new");
    let children = ["amd64", "arm64"].map(|name| {
        let layer = registry.layer(name, 500);
        let platform = format!("linux/{name}");
        registry.image("a").oci().layers([&shared, &layer]).platform(&platform).push()
    });
    registry.index("a").children(&children).push_tag("1");
    registry.index("a").children(&children[1..]).push_tag("1-alpine");
    registry.referrer("a", &children[0], "application/spdx+json", "{\"of\":\"amd64\"}");
    registry.image("a/b").layers([&shared]).push_tag("1.0");
    registry.layer("orphan", 600);
    let pushed = registry.layer("of a push that failed", 650);
    registry.link_layer("a/b", &pushed.digest);
    registry.upload("a", "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10", 10, "2026-01-02T03:04:05Z");
    (registry, Things { old_layer })
}

impl Registry {
    /// The lock of a run that was killed is no longer waited for.
    pub fn end_lease(&self) {
        self.bucket.remove(&format!("{PREFIX}.regsql/lock"));
    }

    /// The registry's files, as objects that are all of one age.
    pub fn new(registry: &RegistryBuilder, settings: Settings) -> Self {
        let directory = crate::env::directory_in_memory();
        let root = directory.path().join("registry");
        registry.write_to(&root).unwrap();
        let scheme = match settings.provider {
            Provider::S3 => "s3://bucket",
            Provider::Gcs => "gs://bucket",
            Provider::Azure => "az://account/container",
        };
        let bucket = MemoryBucket::new(scheme, settings);
        let written_ns = bucket.now_ns();
        for entry in WalkDir::new(&root).sort_by_file_name() {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let below = entry.path().strip_prefix(&root).unwrap().to_str().unwrap();
                bucket.write(&format!("{PREFIX}{below}"), &fs::read(entry.path()).unwrap());
            }
        }
        bucket.pass_seconds(30 * 24 * 3600);
        let graph = graph_of(&root, directory.path(), written_ns);
        let before = bucket.contents();
        Self { bucket, graph, before }
    }

    /// The same again, of which nothing is changed yet.
    pub fn copied(&self) -> Self {
        let (graph, before) = (self.graph.clone(), self.before.clone());
        Self { bucket: self.bucket.copied(), graph, before }
    }

    pub fn trash(&self, options: ObjectOptions) -> ObjectTrash {
        trash_of(
            Arc::new(self.bucket.client(regsql::storage::object::memory::Fault::Never)),
            options,
        )
    }

    /// What lies in the registry now.
    pub fn now(&self) -> BTreeMap<String, Vec<u8>> {
        let own = format!("{PREFIX}.regsql");
        let mut now = self.bucket.contents();
        now.retain(|key, _| !key.starts_with(&own));
        now
    }

    /// Fails unless everything is as it was pushed, byte by byte.
    #[track_caller]
    pub fn assert_as_before(&self, when: &str) {
        let now = self.now();
        let missing: Vec<_> = self.before.keys().filter(|key| !now.contains_key(*key)).collect();
        let other: Vec<_> = now.iter().filter(|(k, v)| self.before.get(*k) != Some(*v)).collect();
        assert!(missing.is_empty(), "{when}: missing {missing:#?}");
        assert!(
            other.is_empty(),
            "{when}: other {:#?}",
            other.iter().map(|o| o.0).collect::<Vec<_>>()
        );
    }

    /// What a pull of each tag gets.
    pub fn pulls(&self) -> crate::prune::pulls::Pulls {
        let directory = crate::env::directory_in_memory();
        self.write_to(directory.path());
        crate::prune::pulls::pulls(directory.path())
    }

    /// What a scan says now.
    pub fn rescan(&self) -> Graph {
        let directory = crate::env::directory_in_memory();
        let root = directory.path().join("registry");
        self.write_to(&root);
        graph_of(&root, directory.path(), self.bucket.now_ns())
    }

    fn write_to(&self, directory: &Path) {
        for (key, bytes) in self.now() {
            let path = directory.join(key.strip_prefix(PREFIX).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

pub fn trash_of(bucket: Arc<dyn Bucket>, options: ObjectOptions) -> ObjectTrash {
    let storage = ObjectStorage::new(bucket, PREFIX);
    regsql::storage::Storage::refresh(&storage).ok();
    ObjectTrash::new(Box::new(storage), options)
}

/// Beside a registry that may write, with no pause.
pub fn options(way: Way) -> ObjectOptions {
    ObjectOptions { way, settle: Duration::ZERO, ..ObjectOptions::default() }
}

/// The same when what was marked has been so for long enough.
pub fn later(way: Way) -> ObjectOptions {
    let now = Timestamp::now().checked_add(MARGIN.try_into().unwrap_or(SignedDuration::ZERO));
    let now = now.unwrap().checked_add(SignedDuration::from_hours(1)).unwrap();
    ObjectOptions { now, ..options(way) }
}

/// What a scan of the files says, with the times of the objects.
fn graph_of(root: &Path, beside: &Path, written_ns: i64) -> Graph {
    let database = beside.join("registry.db");
    let options = ScanOptions {
        storage: root.to_owned(),
        database: database.clone(),
        io_threads: NonZeroUsize::MIN,
        reuse: Reuse::Files,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
        deep: DeepLook::Auto,
    };
    scan(&options, &Hidden).unwrap();
    let mut graph = regsql::db::read_graph(&rusqlite::Connection::open(database).unwrap()).unwrap();
    let time = Some(written_ns);
    for node in std::sync::Arc::make_mut(&mut graph.blobs) {
        node.changed_ns = node.size_bytes.and(time);
    }
    graph.tags.iter_mut().for_each(|node| node.pushed_ns = node.target.and(time));
    graph.links.iter_mut().for_each(|node| node.linked_ns = time);
    graph.uploads.iter_mut().for_each(|node| node.active_ns = time);
    graph.revisions_pushed_ns.iter_mut().for_each(|pushed_ns| *pushed_ns = time);
    graph
}

/// Purges all runs, as the command does.
pub fn purge(registry: &Registry, trash: &ObjectTrash) -> Result<PurgeReport, TrashError> {
    purge_by(&registry.rescan(), trash)
}

/// The same by a scan that was made before.
pub fn purge_by(graph: &Graph, trash: &ObjectTrash) -> Result<PurgeReport, TrashError> {
    let lock = trash.lock()?;
    let held = trash.held(false)?;
    let needed = NeededAgain::new(graph, trash.storage(), &held);
    let options = PurgeOptions { started_before: Timestamp::MAX, includes_unfinished: false };
    trash.purge(&lock, &options, &|item| needed.has(item))
}

/// All garbage, beside what runs have marked.
pub fn garbage(registry: &Registry, trash: &ObjectTrash) -> Plan {
    let graph = registry.rescan();
    let mut chosen = Chosen::nothing(&graph);
    chosen.is_garbage_chosen = true;
    let marked = Marked::new(&graph, &trash.marked().unwrap());
    plan(chosen, &Policy { marked, ..policy(registry) })
}

/// All garbage, and these.
fn plan_of(registry: &Registry, names: Vec<Name>) -> Plan {
    let mut chosen = Chosen::nothing(&registry.graph);
    chosen.is_garbage_chosen = true;
    for name in names {
        chosen.add(name);
    }
    plan(chosen, &policy(registry))
}

fn policy(registry: &Registry) -> Policy {
    Policy {
        upload_min_age: Duration::ZERO,
        ..Policy::of_any_age(registry.bucket.now_ns(), Protect::default())
    }
}

struct Made<'a> {
    registry: &'a Registry,
    plan: &'a Plan,
}

impl PlannedDeletion for Made<'_> {
    fn graph(&self) -> &Graph {
        &self.registry.graph
    }

    fn plan(&self) -> &Plan {
        self.plan
    }

    fn clock(&self) -> Clock {
        policy(self.registry).clock
    }
}

/// How a deletion is made.
pub struct How<'a> {
    pub keeps_trash: bool,
    pub is_online: bool,
    /// A running registry that remembers what it served.
    pub registry: Option<&'a dyn ServingRegistry>,
    pub before: &'a dyn Fn(Step),
}

pub const TO_TRASH: How<'_> =
    How { keeps_trash: true, is_online: false, registry: None, before: &|_| {} };

/// Deletes all garbage and these tags of `a`; gives the run, too.
pub fn prune(
    registry: &Registry,
    trash: &ObjectTrash,
    tags: &[&str],
    how: &How<'_>,
) -> Result<(Outcome, Option<String>), TrashError> {
    let tag = |tag: &&str| Name::Tag {
        repository: "a".into(),
        tag: (*tag).into(),
        manifest_digest: None,
    };
    prune_these(registry, trash, tags.iter().map(tag).collect(), how)
}

/// Deletes all garbage and these; gives the run, too.
pub fn prune_these(
    registry: &Registry,
    trash: &ObjectTrash,
    names: Vec<Name>,
    how: &How<'_>,
) -> Result<(Outcome, Option<String>), TrashError> {
    prune_before(registry, trash, names, how, &Unattended { before: how.before })
}

/// The same before somebody.
pub fn prune_before(
    registry: &Registry,
    trash: &ObjectTrash,
    names: Vec<Name>,
    how: &How<'_>,
    environment: &dyn Environment,
) -> Result<(Outcome, Option<String>), TrashError> {
    let plan = plan_of(registry, names);
    let run_options = RunOptions {
        keeps_trash: how.keeps_trash,
        is_online: how.is_online,
        wait: if how.is_online { Duration::from_mins(10) } else { Duration::ZERO },
        registry: how.registry,
        has_names: true,
    };
    let planned = || Ok::<_, Infallible>(Made { registry, plan: &plan });
    match regsql::prune::run_in(trash, &run_options, environment, planned) {
        Ok(deleted) => Ok((deleted.outcome, deleted.trash_run)),
        Err(RunError::Trash(error)) => Err(error),
        Err(RunError::Plan(never)) => match never {},
        Err(RunError::Stopped) => unreachable!("nothing stops it"),
    }
}

/// Undoes all runs, as a person would, the newest first.
#[track_caller]
pub fn undo_all(registry: &Registry, when: &str) {
    registry.end_lease();
    let trash = registry.trash(options(Way::Auto));
    let lock = trash.lock().unwrap();
    let mut runs = trash.list().unwrap();
    runs.reverse();
    for run in runs {
        let report = trash.undo(&lock, &run.run).unwrap();
        assert!(report.is_whole() && report.is_removed, "{when}: {report:#?}");
    }
}

/// Every kind of bucket, and every way of deleting in it.
pub fn kinds() -> Vec<(&'static str, Settings, Way)> {
    let s3 = Settings::of(Provider::S3);
    let [gcs, azure] = [Provider::Gcs, Provider::Azure].map(Settings::of);
    let versions = |settings| Settings { has_versions: true, ..settings };
    let soft = |settings| Settings { soft_delete_seconds: Some(604_800), ..settings };
    vec![
        ("S3", s3, Way::Auto),
        ("S3, copied", s3, Way::Copy),
        ("S3 with versions", versions(s3), Way::Auto),
        ("S3 with versions, deferred", versions(s3), Way::Deferred),
        ("S3 without conditions", Settings { honours_delete_conditions: false, ..s3 }, Way::Auto),
        ("GCS", gcs, Way::Auto),
        ("GCS with versions", versions(gcs), Way::Auto),
        ("GCS with soft deletion", soft(gcs), Way::Auto),
        ("Azure", azure, Way::Auto),
        ("Azure with versions", versions(azure), Way::Auto),
        ("Azure with soft deletion", soft(azure), Way::Auto),
    ]
}

/// Those that purge in ways of their own.
pub fn kinds_of_purge() -> Vec<(&'static str, Settings, Way)> {
    let alike = ["S3 without conditions", "GCS", "Azure", "Azure with versions"];
    kinds().into_iter().filter(|(kind, ..)| !alike.contains(kind)).collect()
}
