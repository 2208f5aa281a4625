//! A scan that takes over what the last one saw gives what a full scan gives, whatever happened in
//! between; and it does take it over.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use std::{io, os::unix::fs::symlink};

use proptest::prelude::*;
use regsql::model::Digest;
use regsql::model::progress::Hidden;
use regsql::sample::{Content, RegistryBuilder, paths};
use regsql::scan::{self, DeepLook, Depth, Facts, KnownContents, KnownParts, Look};
use regsql::snapshot::{Reuse, RootsChoice, ScanOptions, scan, scan_storage};
use regsql::storage::{
    self, DirectoryStamp, Entry, FileFacts, FilesystemStorage, Layout, Leaf, LeafOptions, Space,
    Storage, Streamed,
};

use crate::rescan::content;

const REPOSITORIES: [&str; 3] = ["app", "team/app", "team/tools"];
const TAGS: [&str; 3] = ["1.0", "1.1", "latest"];
const UPLOAD: &str = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";

/// A kind of change, and two numbers that choose what it is about.
type Change = (u8, usize, usize);

/// Changes that a directory's times show.
const SHOWN: u8 = 20;
/// Changes in place, which only a look at every file shows.
const ALL: u8 = 25;

/// Writes what a push writes: blobs that are there already stay, links are written again.
fn push(root: &Path, registry: &RegistryBuilder) {
    for (path, entry) in registry.tree.iter() {
        let place = root.join(path);
        if path.contains("/blobs/") && place.exists() {
            continue;
        }
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match &entry.content {
            Content::Bytes(bytes) => fs::write(place, bytes).unwrap(),
            Content::Directory => fs::create_dir_all(place).unwrap(),
            // Nothing but the data of an upload.
            Content::Sparse(_) => fs::write(place, "0123456789").unwrap(),
        }
    }
}

fn push_image(root: &Path, repository: &str, tag: &str, number: usize) {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 300);
    let own = registry.layer(&format!("layer {}", number % 5), 100);
    let image = registry.image(repository).layers([&base, &own]);
    let image = image.created_by(["ADD base", "RUN make"]).label("number", &number.to_string());
    if number.is_multiple_of(3) {
        let image = image.oci().push();
        registry.index(repository).children(&[image]).push_tag(tag);
    } else {
        image.push_tag(tag);
    }
    push(root, &registry);
}

/// A blob's directory, a link's or a tag's: one of those that are there.
fn one_of(root: &Path, below: &str, number: usize) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(root.join(below)).ok()?.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    let count = found.len();
    (count > 0).then(|| found.swap_remove(number % count))
}

fn a_blob(root: &Path, number: usize) -> Option<PathBuf> {
    let shard = one_of(root, "docker/registry/v2/blobs/sha256", number / 7)?;
    one_of(&shard, "", number)
}

pub fn swap(one: &Path, other: &Path) -> Option<()> {
    let aside = one.with_extension("aside");
    fs::rename(one, &aside).ok()?;
    let moved = fs::rename(other, one);
    fs::rename(aside, if moved.is_ok() { other } else { one }).unwrap();
    moved.ok()
}

/// Gives all files and directories one modification time of long ago.
fn set_back(top: &Path) {
    for entry in walkdir::WalkDir::new(top) {
        let entry = entry.unwrap();
        if !entry.path_is_symlink() {
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000);
            File::open(entry.path()).unwrap().set_modified(long_ago).unwrap();
        }
    }
}

/// Writes other content of the same size: a manifest names another blob.
fn say_something_else(path: &Path) -> Option<()> {
    let mut bytes = fs::read(path).ok()?;
    let digest = b"sha256:";
    match bytes.windows(digest.len()).rposition(|part| part == digest) {
        Some(at) => {
            let digit = bytes.get_mut(at + digest.len())?;
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
        None => bytes.reverse(),
    }
    fs::write(path, bytes).ok()
}

/// Carries a change out; what it is about may not be there.
fn change(root: &Path, (kind, a, b): Change) -> Option<()> {
    let repository = REPOSITORIES[a % 3];
    let below = |path: &str| format!("{}/{path}", paths::repository(repository));
    let tag = root.join(paths::tag(repository, TAGS[b % 3]));
    let revisions = below("_manifests/revisions/sha256");
    match kind {
        0..=2 => push_image(root, repository, TAGS[b % 3], b),
        // As the registry's API deletes a manifest.
        3 => fs::remove_file(one_of(root, &revisions, b)?.join("link")).ok()?,
        4 => fs::remove_dir_all(tag).ok()?,
        // A tag moves to what is there.
        5 => {
            let revision = one_of(root, &revisions, b / 3)?;
            let hex = revision.file_name()?.to_str()?.to_owned();
            let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
            let mut registry = RegistryBuilder::new();
            registry.tag(repository, TAGS[b % 3], &digest);
            push(root, &registry);
        }
        // As a collector deletes.
        6 => fs::remove_dir_all(a_blob(root, a + 3 * b)?).unwrap(),
        7 => fs::remove_dir_all(one_of(root, &revisions, b)?).unwrap(),
        8 => {
            let index = tag.join("index/sha256");
            fs::remove_dir_all(one_of(&index, "", b / 3)?).unwrap();
        }
        9 => fs::remove_dir_all(root.join(paths::repository(repository))).ok()?,
        10 => {
            let mut registry = RegistryBuilder::new();
            registry.upload(repository, UPLOAD, 10, "2026-01-02T03:04:05Z");
            push(root, &registry);
        }
        11 => fs::write(tag.join("current/link"), ["", "sha256:cut", "\n"][a % 3]).ok()?,
        12 => fs::write(one_of(root, &revisions, b)?.join("link"), "nothing").ok()?,
        // A blob comes back from a backup, damaged.
        13 => {
            let blob = a_blob(root, a + 3 * b)?;
            fs::remove_dir_all(&blob).unwrap();
            fs::create_dir(&blob).unwrap();
            fs::write(blob.join("data"), ["", "{\"schemaVersion\":2}", "damaged"][a % 3]).unwrap();
        }
        14 => {
            let stray = ["blobs/sha256/ab/x", "repositories/x", "repositories/team/y"][b % 3];
            let stray = root.join("docker/registry/v2").join(stray);
            fs::create_dir_all(stray.parent().unwrap()).unwrap();
            symlink("nowhere", stray).ok()?;
        }
        15 => fs::create_dir_all(root.join(below("_layers/sha512"))).ok()?,
        16 => swap(
            &root.join(paths::repository(repository)),
            &root.join(paths::repository(REPOSITORIES[b % 3])),
        )?,
        17 => swap(&tag, &root.join(paths::tag(repository, TAGS[a % 3])))?,
        18 => swap(&a_blob(root, a + 3 * b)?, &a_blob(root, a + b)?)?,
        // The clock of the writing machine is set back.
        19 => {
            push_image(root, repository, TAGS[b % 3], b);
            set_back(&root.join("docker/registry/v2"));
        }
        20 => fs::write(a_blob(root, a + 3 * b)?.join("data"), "cut").ok()?,
        // As the registry's API deletes a layer.
        21 => fs::remove_file(one_of(root, &below("_layers/sha256"), b)?.join("link")).ok()?,
        22 => fs::write(one_of(root, &below("_layers/sha256"), b)?.join("link"), "cut").unwrap(),
        23 => say_something_else(&a_blob(root, a + 3 * b)?.join("data"))?,
        _ => swap(&a_blob(root, a + 3 * b)?.join("data"), &a_blob(root, a + b)?.join("data"))?,
    }
    Some(())
}

fn changes(kinds: u8) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((0..kinds, 0..3_usize, 0..30_usize), 1..5)
}

fn options(root: &Path, database: &Path, deep: DeepLook, reuse: Reuse) -> ScanOptions {
    ScanOptions {
        storage: root.to_owned(),
        database: database.to_owned(),
        io_threads: NonZeroUsize::new(2).unwrap(),
        deep,
        reuse,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
    }
}

/// The content but for the moment of the scan that last saw what has vanished.
fn seen(database: &Path) -> Vec<String> {
    let without_moment = |row: String| match row.split_once(" vanished since ") {
        Some((what, _)) => what.to_owned(),
        None => row,
    };
    let mut rows: Vec<String> = content(database).into_iter().map(without_moment).collect();
    rows.sort();
    rows
}

/// Whether SQLite finds each row, also in each index.
fn integrity(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap()
}

fn check(rounds: &[Vec<Change>], deep: DeepLook, reuse: Reuse, pause: Duration) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    for (number, repository) in REPOSITORIES.iter().enumerate() {
        push_image(&root, repository, "1.0", number);
    }
    let database = directory.path().join("registry.db");
    for round in rounds {
        for one in round {
            change(&root, *one);
        }
        fs::create_dir_all(root.join("docker/registry/v2/blobs/sha256")).unwrap();
        fs::create_dir_all(root.join("docker/registry/v2/repositories")).unwrap();
        std::thread::sleep(pause);
        scan(&options(&root, &database, deep, reuse), &Hidden).unwrap();
        let full = directory.path().join("full.db");
        scan(&options(&root, &full, deep, Reuse::Nothing), &Hidden).unwrap();
        assert_eq!(seen(&database), seen(&full), "{round:?}");
        assert_eq!(integrity(&database), "ok", "{round:?}");
        std::thread::sleep(pause);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// All views are equal, findings and holds among them.
    #[test]
    fn an_incremental_scan_sees_what_a_full_one_sees(
        rounds in prop::collection::vec(changes(SHOWN), 2..6)
    ) {
        // Longer than a tick of the clock, which is then all that has to pass.
        let (pause, settled) = (Duration::from_millis(12), Duration::ZERO);
        check(&rounds, DeepLook::Never, Reuse::Directories { settled }, pause);
    }

    /// The same with changes in place, where every file is looked at, and with changes in the tick of
    /// the clock in which the scan before looked.
    #[test]
    fn a_scan_that_looks_at_every_file_sees_changes_in_place(
        rounds in prop::collection::vec(changes(ALL), 2..6), is_deep: bool
    ) {
        let deep = if is_deep { DeepLook::Always } else { DeepLook::Never };
        check(&rounds, deep, Reuse::Files, Duration::ZERO);
    }
}

/// Counts files that are read and entries that are looked at.
struct Counted {
    inner: FilesystemStorage,
    reads: AtomicU64,
    leaves: AtomicU64,
    /// What happens when a scan asks how full the disk is: that comes after it has copied the last database.
    meanwhile: Box<dyn Fn() + Send + Sync>,
}

impl Counted {
    fn open(root: &Path, meanwhile: impl Fn() + Send + Sync + 'static) -> Self {
        let inner = FilesystemStorage::open(storage::locate(root).unwrap()).unwrap();
        let (reads, leaves) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, reads, leaves, meanwhile: Box::new(meanwhile) }
    }
}

impl Storage for Counted {
    fn space(&self) -> Option<Space> {
        (self.meanwhile)();
        None
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(directory)
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        let leaves = self.inner.list_leaves(directory, leaf, options)?;
        self.leaves.fetch_add(leaves.len() as u64, Ordering::Relaxed);
        Ok(leaves)
    }

    fn stamp(&self, directory: &Path) -> io::Result<Option<DirectoryStamp>> {
        self.inner.stamp(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.inner.stat(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<storage::Content> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(path, limit)
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

/// What a scan leaves for the next one: the parts, the contents, the bodies.
fn remembered(facts: &Facts) -> [Vec<u8>; 3] {
    let mut sections = [const { Vec::new() }; 3];
    facts.remember(&mut |section, fill| fill(&mut sections[section as usize])).unwrap();
    sections
}

/// A scan after the one that left `last`; also how many files it read and entries it looked at.
fn facts_after(root: &Path, last: Option<&Facts>, settled_before_ns: i64) -> (Facts, u64, u64) {
    let counted = Counted::open(root, || ());
    let last = last.map(remembered);
    let parts = last.as_ref().and_then(|[parts, ..]| KnownParts::decode(parts));
    let contents = last
        .as_ref()
        .zip(parts.as_ref())
        .and_then(|([_, contents, bodies], parts)| KnownContents::decode(parts, contents, bodies));
    assert_eq!(contents.is_some(), last.is_some());
    let mut look = Look::full(&counted, Depth::Full);
    look.known = parts.as_ref();
    look.trusts_directories = true;
    look.settled_before_ns = settled_before_ns;
    let mut walked = scan::walk(look, &Hidden);
    assert!(walked.fill(contents.as_ref()));
    let facts = scan::read_manifests(&counted, walked, contents, &Hidden);
    (facts, counted.reads.into_inner(), counted.leaves.into_inner())
}

#[test]
fn a_rescan_reads_only_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    for number in 0..30 {
        push_image(&root, &format!("app-{number}"), "1.0", number);
    }
    let (first, reads, leaves) = facts_after(&root, None, i64::MAX);
    assert!(reads > 60 && leaves > 150, "{reads} files, {leaves} entries");
    let (second, reads, _) = facts_after(&root, Some(&first), i64::MAX);
    assert_eq!(reads, 0);
    push_image(&root, "app-7", "2.0", 100);
    let (third, reads, _) = facts_after(&root, Some(&second), i64::MAX);
    assert_eq!(reads, 2, "a manifest and a config");
    let (full, _, leaves) = facts_after(&root, None, i64::MAX);
    assert_eq!(third.fingerprint, full.fingerprint);
    let (_, _, leaves_again) = facts_after(&root, Some(&full), i64::MAX);
    // Revisions and tags are looked at, since the registry's API deletes a link in place.
    assert!(leaves_again < leaves / 2, "{leaves_again} of {leaves} entries");
}

#[test]
fn what_changed_just_before_the_scan_is_looked_at_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    push_image(&root, "app", "1.0", 1);
    let (first, reads, leaves) = facts_after(&root, None, 0);
    let (_, reads_again, leaves_again) = facts_after(&root, Some(&first), 0);
    assert_eq!((reads_again, leaves_again), (reads, leaves));
}

/// Changes the modes of both files until one tick of the clock has both changes.
pub fn changed_in_one_tick(one: &Path, other: &Path) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let changed = |path: &Path| fs::metadata(path).map(|facts| (facts.ctime(), facts.ctime_nsec()));
    let is_done = || {
        for path in [one, other] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        changed(one).unwrap() == changed(other).unwrap()
    };
    assert!((0..100_000).any(|_| is_done()));
}

#[test]
fn two_files_that_look_alike_and_change_places_are_read_again() {
    for what in ["blobs", "tags"] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        push_image(&root, "app", "1.0", 1);
        push_image(&root, "app", "1.1", 2);
        set_back(&root.join("docker/registry/v2"));
        let (facts, ..) = facts_after(&root, None, i64::MAX);
        let (one, other, file) = if what == "tags" {
            let tag = |tag| root.join(paths::tag("app", tag));
            (tag("1.0"), tag("1.1"), "current/link")
        } else {
            let blob = |at: usize| {
                let blob = &facts.blobs[facts.manifests[at].blob as usize];
                root.join(paths::blob(&blob.digest)).parent().unwrap().to_owned()
            };
            (blob(0), blob(1), "data")
        };
        changed_in_one_tick(&one.join(file), &other.join(file));
        let database = directory.path().join("registry.db");
        let reuse = Reuse::Directories { settled: Duration::ZERO };
        std::thread::sleep(Duration::from_millis(12));
        for _ in 0..2 {
            scan(&options(&root, &database, DeepLook::Never, reuse), &Hidden).unwrap();
        }
        swap(&one, &other).unwrap();
        scan(&options(&root, &database, DeepLook::Never, reuse), &Hidden).unwrap();
        let full = directory.path().join("full.db");
        scan(&options(&root, &full, DeepLook::Never, Reuse::Nothing), &Hidden).unwrap();
        assert_eq!(seen(&database), seen(&full), "{what}");
    }
}

#[test]
fn a_manifest_that_changed_in_the_tick_of_the_last_scan_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    push_image(&root, "app", "1.0", 1);
    let database = directory.path().join("registry.db");
    let options = options(&root, &database, DeepLook::Never, Reuse::DIRECTORIES);
    scan(&options, &Hidden).unwrap();
    assert!(scan(&options, &Hidden).unwrap().is_unchanged);
    // Whether the kernel gives it another time or not, sizes and names are the same.
    let (facts, ..) = facts_after(&root, None, i64::MIN);
    let parts = KnownParts::decode(&remembered(&facts)[0]).unwrap();
    let storage = FilesystemStorage::open(storage::locate(&root).unwrap()).unwrap();
    assert!(parts.have_stayed(&storage));
    for blob in
        [facts.manifests[0].blob, facts.manifests[0].body.as_ref().unwrap().references[0].blob]
    {
        let path = root.join(paths::blob(&facts.blobs[blob as usize].digest));
        let before = fs::read(&path).unwrap();
        say_something_else(&path).unwrap();
        assert!(!parts.have_stayed(&storage));
        fs::write(&path, before).unwrap();
        assert!(parts.have_stayed(&storage));
    }
}

#[test]
fn a_memory_that_is_damaged_or_of_another_scan_is_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    push_image(&root, "app", "1.0", 1);
    let (facts, ..) = facts_after(&root, None, i64::MAX);
    push_image(&root, "app", "1.1", 2);
    let (other, ..) = facts_after(&root, None, i64::MAX);
    let [encoded_parts, contents, bodies] = remembered(&facts);
    let parts = KnownParts::decode(&encoded_parts).unwrap();
    let decode =
        |contents: &[u8], bodies: &[u8]| KnownContents::decode(&parts, contents, bodies).is_some();
    assert!(decode(&contents, &bodies));
    let [_, other_contents, other_bodies] = remembered(&other);
    assert!(!decode(&other_contents, &other_bodies));
    for at in [0, bodies.len() / 2, bodies.len() - 1] {
        let mut bodies = bodies.clone();
        bodies[at] ^= 1;
        assert!(!decode(&contents, &bodies));
    }
    assert!(KnownParts::decode(&encoded_parts[..10]).is_none());
    assert!(KnownParts::decode(b"").is_none());
}

/// A database whose rows somebody changed, so that the next scan must put them right.
const CHANGED_ROWS: [&str; 18] = [
    "DELETE FROM reference WHERE position = 1",
    "UPDATE reference SET blob_id = (SELECT MAX(id) FROM blob), role = 'blob'",
    "DELETE FROM referenced_by",
    "UPDATE blob SET size_bytes = 1, is_orphan = 1, only_tag_id = 7",
    "UPDATE blob SET id = -id",
    "DELETE FROM blob WHERE is_orphan = 0",
    "UPDATE manifest SET logical_bytes = 0, config_blob_id = NULL; DELETE FROM revision",
    "UPDATE repository SET name = name || 'x', exclusive_bytes = 0",
    "INSERT INTO repository SELECT id + 1, 'more', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, x'00' FROM repository",
    "UPDATE tag SET id = id + 5, name = 'other' || id; UPDATE tag_entry SET is_current = 0",
    "UPDATE layer_link SET is_needed = 0, is_dangling = 1; DELETE FROM image",
    "UPDATE media_type SET name = 'x' || id; UPDATE build_step SET created_by = id, layer_count = 0",
    "INSERT INTO problem VALUES (7, 'layer-missing', 'error', 'app', NULL, 'x', 'x'); DELETE FROM total",
    "DELETE FROM remembered; UPDATE image SET exclusive_bytes = -1, hash = x'07'",
    "UPDATE blob SET id = 9223372036854775807 WHERE id = (SELECT MAX(id) FROM blob)",
    "PRAGMA journal_mode = WAL; UPDATE tag SET name = name || 'x', logical_bytes = 1",
    "CREATE TRIGGER t AFTER INSERT ON blob BEGIN DELETE FROM reference; END",
    // Rows that lie in another order than their table says.
    "CREATE TEMP TABLE rows AS SELECT * FROM layer_link; DELETE FROM layer_link; PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'KEY (repository_id,', 'KEY (repository_id DESC,') WHERE name = 'layer_link';
        PRAGMA writable_schema = RESET; INSERT INTO layer_link SELECT * FROM rows; PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'KEY (repository_id DESC,', 'KEY (repository_id,') WHERE name = 'layer_link';
        PRAGMA writable_schema = RESET",
];

#[test]
fn whatever_the_last_database_says_a_rescan_leaves_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    for (number, repository) in REPOSITORIES.iter().enumerate() {
        push_image(&root, repository, "1.0", number);
    }
    let database = directory.path().join("registry.db");
    let reuse = Reuse::Directories { settled: Duration::ZERO };
    let rescan = || scan(&options(&root, &database, DeepLook::Never, reuse), &Hidden).unwrap();
    let full = || {
        let full = directory.path().join("full.db");
        scan(&options(&root, &full, DeepLook::Never, Reuse::Nothing), &Hidden).unwrap();
        seen(&full)
    };
    rescan();
    for (number, sql) in (4..).zip(CHANGED_ROWS) {
        rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
        push_image(&root, REPOSITORIES[number % 3], &format!("1.{number}"), number);
        rescan();
        assert_eq!(seen(&database), full(), "{sql}");
        assert_eq!(integrity(&database), "ok", "{sql}");
    }
    // Bytes that are damaged anywhere: it is a scan of a new file then, or puts them right.
    for number in 30..40_usize {
        let mut bytes = fs::read(&database).unwrap();
        let at = bytes.len() / 11 * (number - 29);
        bytes[at..at + 500].fill(0xff);
        fs::write(&database, bytes).unwrap();
        push_image(&root, REPOSITORIES[number % 3], &format!("1.{number}"), number);
        rescan();
        assert_eq!(seen(&database), full(), "damaged at {at}");
    }
}

#[test]
fn rows_keep_their_ids_when_others_come_between() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    push_image(&root, "app", "1.0", 1);
    let database = directory.path().join("registry.db");
    let reuse = Reuse::Directories { settled: Duration::ZERO };
    let rows = |number: usize| {
        push_image(&root, "app", &format!("1.{number}"), number);
        scan(&options(&root, &database, DeepLook::Never, reuse), &Hidden).unwrap();
        let connection = rusqlite::Connection::open(&database).unwrap();
        let sql = "SELECT id || hex(hash) FROM blob UNION ALL SELECT id || name FROM tag
            UNION ALL SELECT id || created_by FROM build_step";
        let mut select = connection.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<std::collections::BTreeSet<String>>>().unwrap()
    };
    let mut before = rows(2);
    for number in 3..10 {
        let now = rows(number);
        assert!(before.is_subset(&now), "version {number}");
        before = now;
    }
}

/// The copy has what the last database held before: a row that is put right in the last one while both are compared
/// would stay wrong in the copy.
#[test]
fn a_last_database_that_somebody_writes_while_it_is_compared_is_not_relied_on() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    push_image(&root, "app", "1.0", 1);
    let database = directory.path().join("registry.db");
    let reuse = Reuse::Directories { settled: Duration::ZERO };
    let options = |database: &Path, reuse| options(&root, database, DeepLook::Never, reuse);
    scan(&options(&database, reuse), &Hidden).unwrap();
    let change = |database: &Path, sql: &str| {
        assert_eq!(rusqlite::Connection::open(database).unwrap().execute(sql, []).unwrap(), 1);
    };
    let first = "link_blob_id = (SELECT MIN(link_blob_id) FROM layer_link)";
    let hour_ns = 3_600_000_000_000_i64;
    change(
        &database,
        &format!("UPDATE layer_link SET linked_ns = linked_ns + {hour_ns} WHERE {first}"),
    );

    push_image(&root, "app", "1.1", 2);
    let of_hook = database.clone();
    let mend = format!("UPDATE layer_link SET linked_ns = linked_ns - {hour_ns} WHERE {first}");
    let storage = Counted::open(&root, move || change(&of_hook, &mend));
    scan_storage(&options(&database, reuse), &storage, &Hidden).unwrap();
    let full = directory.path().join("full.db");
    scan_storage(&options(&full, Reuse::Nothing), &Counted::open(&root, || ()), &Hidden).unwrap();
    assert_eq!(seen(&database), seen(&full));
    assert_eq!(integrity(&database), "ok");
}
