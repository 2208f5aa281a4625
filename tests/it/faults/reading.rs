//! A storage that fails at one call, for every call in turn: what such a scan calls garbage is
//! garbage without the fault, too.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regsql::db::{self, Ids, Making, NewDatabase, References, ScanRecord, Snapshot, WriteLock};
use regsql::graph;
use regsql::model::Name;
use regsql::model::progress::Hidden;
use regsql::prune::{Chosen, Policy, Protect, plan};
use regsql::scan::{self, Depth, Look};
use regsql::storage::{
    Content, Entry, FileFacts, FilesystemStorage, Layout, Leaf, LeafOptions, LeafState, Storage,
    Streamed, locate,
};

use super::Machine;

const EIO: i32 = 5;
const EACCES: i32 = 13;

/// What happens at a call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It fails with this number.
    Error(i32),
    /// A file that was there a moment ago is gone. (Directories are not: one that is gone has
    /// been deleted, and nothing is lost by believing it.)
    Vanished,
    /// Half of the bytes come.
    Short,
}

/// Reads fail once: at the call of this number, counted from 0. Each entry of a listing with leaves
/// is a call of its own.
struct FailingStorage<'a> {
    inner: &'a FilesystemStorage,
    fault: Fault,
    at: u64,
    calls: AtomicU64,
}

impl FailingStorage<'_> {
    fn is_now(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) == self.at
    }

    fn check(&self) -> io::Result<()> {
        match self.fault {
            Fault::Error(number) if self.is_now() => Err(io::Error::from_raw_os_error(number)),
            _ => Ok(()),
        }
    }

    fn check_file(&self) -> io::Result<()> {
        match self.fault {
            Fault::Vanished if self.is_now() => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }

    fn harm(&self, state: &mut LeafState) {
        match self.fault {
            Fault::Error(number) => {
                *state = LeafState::Unreadable(io::Error::from_raw_os_error(number));
            }
            Fault::Short => {
                if let LeafState::File { content: Some(Ok(bytes)), .. } = state {
                    bytes.truncate(bytes.len() / 2);
                }
            }
            Fault::Vanished => {}
        }
    }
}

impl Storage for FailingStorage<'_> {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.check()?;
        self.inner.list(directory)
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        self.check()?;
        let mut leaves = self.inner.list_leaves(directory, leaf, options)?;
        leaves.sort_by(|a, b| a.name.cmp(&b.name));
        for leaf in &mut leaves {
            if self.is_now() {
                self.harm(&mut leaf.state);
            }
        }
        Ok(leaves)
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.check()?;
        self.check_file()?;
        self.inner.stat(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        self.check()?;
        self.check_file()?;
        let mut content = self.inner.read(path, limit)?;
        if matches!(self.fault, Fault::Short) && self.is_now() {
            content.bytes.truncate(content.bytes.len() / 2);
        }
        Ok(content)
    }

    fn stream(
        &self,
        path: &Path,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        self.inner.stream(path, buffer, take)
    }

    fn root(&self) -> &Path {
        self.inner.root()
    }

    fn layout(&self) -> &Layout {
        self.inner.layout()
    }
}

/// What a prune of all garbage and all untagged revisions would take after a scan of `storage`.
fn garbage(storage: &dyn Storage, database: &Path) -> BTreeSet<Name> {
    // One thread, so that calls come in one order.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let facts = pool.install(|| {
        let walked = scan::walk(Look::full(storage, Depth::Deep), &Hidden);
        scan::read_manifests(storage, walked, None, &Hidden)
    });
    let fingerprint = facts.fingerprint;
    let (catalog, graph, _) = scan::build(facts);
    let verdicts = scan::tag_verdicts(&catalog, &graph);
    let accounts = graph::account(&graph);
    let lock = WriteLock::take(database).unwrap();
    let new = NewDatabase::create(&lock).unwrap();
    let scan = ScanRecord {
        root: "registry".into(),
        started_ns: 1,
        finished_ns: 1,
        duration_ms: 0,
        is_complete: true,
        is_deep: true,
        fingerprint,
        proxy_url: None,
        disk: None,
        disk_use: None,
        bucket: regsql::db::BucketRecord::default(),
        max_vanished_percent: 50,
        other_totals: Vec::new(),
    };
    let authority = regsql::db::AuthorityRecord::default();
    let ids = Ids::new(&catalog);
    let snapshot = Snapshot {
        graph: &catalog,
        ids: &ids,
        accounts: &accounts,
        groups: &[],
        verdicts: &verdicts,
        findings: &[],
        authority: &authority,
        scan,
    };
    new.publish(&snapshot, || References::load(&lock, &catalog, &ids, Making::New)).unwrap();

    let connection = db::open_for_reading(database).unwrap();
    let stored = db::read_graph(&connection).unwrap();
    let mut chosen = Chosen::nothing(&stored);
    chosen.is_garbage_chosen = true;
    let sql = "SELECT repository, manifest_digest FROM revisions WHERE NOT is_tagged";
    let mut untagged = connection.prepare(sql).unwrap();
    let names = untagged.query_map([], |row| {
        Ok(Name::Revision { repository: row.get(0)?, manifest_digest: row.get(1)? })
    });
    for name in names.unwrap() {
        chosen.add(name.unwrap());
    }
    let policy = Policy {
        upload_min_age: Duration::ZERO,
        ..Policy::of_any_age(i64::MAX, Protect::default())
    };
    plan(chosen, &policy).names(&stored).collect()
}

#[test]
fn a_read_that_fails_or_falls_short_makes_no_garbage() {
    let machine = Machine::new(3);
    let directory = crate::env::directory_in_memory();
    let database = directory.path().join("registry.db");
    let storage = FilesystemStorage::open(locate(&machine.root()).unwrap()).unwrap();
    let truth = garbage(&storage, &database);
    assert!(truth.len() > 5, "{truth:?}");
    for fault in [Fault::Error(EIO), Fault::Error(EACCES), Fault::Vanished, Fault::Short] {
        let mut harmless = 0;
        for at in 0.. {
            let failing = FailingStorage { inner: &storage, fault, at, calls: AtomicU64::new(0) };
            let found = garbage(&failing, &database);
            let lost: Vec<&Name> = found.difference(&truth).collect();
            assert!(lost.is_empty(), "{fault:?} at call {at}: {lost:?} became garbage");
            harmless += u64::from(found == truth);
            if failing.calls.load(Ordering::Relaxed) <= at {
                assert!(at > 50, "{at} calls");
                break;
            }
        }
        assert!(harmless > 0, "{fault:?}");
    }
}

#[test]
fn blobs_without_any_repositories_directory_are_no_garbage() {
    let machine = Machine::new(3);
    let repositories = machine.root().join("docker/registry/v2/repositories");
    std::fs::rename(repositories, machine.path().join("elsewhere")).unwrap();
    machine.works(&["scan", "registry"]);
    let plan = machine.works(&["prune", "--garbage", "--min-age", "0s", "-f", "json"]);
    assert_eq!(super::names_in(&plan.stdout).len(), 0);
    let found = machine.works(&["verify", "-f", "json"]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("repositories-missing"), "{found:?}");
}
