//! Pushes and failures at the moment of a step: between the last look at a thing and its removal, and
//! between two questions to a registry that remembers.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use regsql::graph::Graph;
use regsql::model::progress::Hidden;
use regsql::model::{Digest, Kind, Name};
use regsql::prune::{Outcome, ServingRegistry};
use regsql::sample::{RegistryBuilder, paths};
use regsql::scan::{self, Depth, Look};
use regsql::storage::StorageWriter;
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::{HeldRun, aside, held, place_in_trash, roll_back};

use super::changes::push_image;
use super::crash::{chosen, registry};
use super::pulls::{assert_none_lost, pulls};
use super::{Disk, How, act_as, lock, plan_of};

const EIO: i32 = 5;

/// What a scan sees, without a database.
pub fn graph_of(disk: &Disk) -> Graph {
    let storage = disk.storage();
    let walked = scan::walk(Look::full(&storage, Depth::Deep), &Hidden);
    scan::build(scan::read_manifests(&storage, walked, None, &Hidden)).1
}

/// Two images, one of them without a tag.
fn two_images() -> (RegistryBuilder, Digest) {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 500);
    registry.image("app").layers([&layer]).push_tag("1.0");
    let untagged = registry.image("app").layers([&layer]).label("number", "2").push();
    (registry, untagged.digest)
}

/// A registry whose cache has a revision. Whatever deletes it, it goes on to be served for a while, since
/// a client asks for it between the emptying of the cache and the removal of the link.
struct Remembering<'a> {
    root: PathBuf,
    remembered: Mutex<HashSet<String>>,
    deletes: Mutex<usize>,
    /// What a client does after the first delete was answered.
    then: &'a (dyn Fn(&Path) + Sync),
}

impl Remembering<'_> {
    fn link(&self, repository: &str, digest: &Digest) -> PathBuf {
        self.root.join(paths::revision_link(repository, digest))
    }
}

impl ServingRegistry for Remembering<'_> {
    fn delete_link(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        fs::remove_file(self.root.join(paths::layer_link(repository, digest))).ok();
        Ok(())
    }

    fn delete_revision(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        let mut deletes = self.deletes.lock().unwrap();
        *deletes += 1;
        fs::remove_file(self.link(repository, digest)).ok();
        if *deletes > 1 {
            self.remembered.lock().unwrap().remove(&digest.to_string());
        }
        Ok(())
    }

    fn serves_link(&self, _: &str, _: &Digest) -> Result<bool, String> {
        Ok(false)
    }

    fn serves_revision(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        if *self.deletes.lock().unwrap() == 1 {
            (self.then)(&self.link(repository, digest));
        }
        let is_remembered = self.remembered.lock().unwrap().contains(&digest.to_string());
        Ok(is_remembered || self.link(repository, digest).exists())
    }
}

/// Takes the untagged image of [`two_images`] beside a registry that remembers it.
fn delete_remembered(uses_trash: bool, then: &(dyn Fn(&Path) + Sync)) -> (Disk, Outcome, PathBuf) {
    let (registry, untagged) = two_images();
    let disk = Disk::of(&registry);
    let name = Name::Revision { repository: "app".into(), manifest_digest: untagged.to_string() };
    let done = take_remembered(&disk, &disk.storage(), &name, uses_trash, then);
    let link = disk.below(paths::revision_link("app", &untagged));
    (disk, done, link)
}

/// Takes a revision beside a registry that remembers it; `then` is what a client does once the first delete
/// was answered.
pub fn take_remembered(
    disk: &Disk,
    storage: &dyn StorageWriter,
    name: &Name,
    uses_trash: bool,
    then: &(dyn Fn(&Path) + Sync),
) -> Outcome {
    let Name::Revision { manifest_digest, .. } = name else { panic!("{name:?} is no revision") };
    let graph = graph_of(disk);
    let mut plan = plan_of(&graph, [name.clone()]);
    assert_eq!(plan.goes[Kind::Revision].len(), 1);
    // As beside any registry that may remember them.
    plan.goes[Kind::Blob].clear();
    let serving = Remembering {
        root: disk.root(),
        remembered: Mutex::new([manifest_digest.clone()].into()),
        deletes: Mutex::new(0),
        then,
    };
    let how = How { registry: Some(&serving), ..How::online(uses_trash) };
    act_as(storage, &graph, &plan, &how).unwrap()
}

fn write_again(link: &Path) {
    let hex = link.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::write(link, format!("sha256:{hex}")).unwrap();
}

#[test]
fn what_a_registry_goes_on_to_serve_is_deleted_again_until_it_is_forgotten() {
    for uses_trash in [true, false] {
        let (_disk, done, link) = delete_remembered(uses_trash, &|_| {});
        assert_eq!((done.counts[Kind::Revision], done.skipped.len()), (1, 0), "{done:?}");
        assert!(!link.exists());
    }
}

#[test]
fn a_manifest_that_is_pushed_again_between_two_deletes_of_it_stays() {
    for uses_trash in [true, false] {
        let has_pushed = AtomicBool::new(false);
        let (_disk, done, link) = delete_remembered(uses_trash, &|link| {
            if !has_pushed.swap(true, Ordering::Relaxed) {
                write_again(link);
            }
        });
        assert!(link.exists(), "the push got 201, and its link was deleted: {done:?}");
        assert_eq!(done.counts[Kind::Revision], 0, "{done:?}");
        assert_eq!(done.skipped[0].reason, "it was pushed again");
    }
}

/// The image that a client pushes to `a:old` meanwhile.
const PUSHED: &[(&str, u64)] = &[("base", 900), ("own", 800), ("newer", 300)];

fn pushed_digest() -> Digest {
    let mut pushed = RegistryBuilder::new();
    let layers: Vec<_> = PUSHED.iter().map(|(name, size)| pushed.layer(name, *size)).collect();
    pushed.image("a").layers(&layers).push_tag("old").digest
}

#[track_caller]
fn assert_pushed(disk: &Disk, when: &str) {
    let at = ("a".into(), "old".into());
    let got = pulls(&disk.root()).remove(&at).unwrap_or_else(|| panic!("{when}: a:old is gone"));
    assert!(got.contains_key(&pushed_digest().to_string()), "{when}: it has the old image");
    assert!(got.values().all(|is_there| *is_there), "{when}: {got:?}");
}

/// Carries the plan out while a client pushes right before one changing call, for each call in turn.
/// `fails`: the call that fails, counted from that one.
fn push_before_each_call(uses_trash: bool, fails: Option<u64>) {
    let registry = registry();
    let every = if fails.is_some() { 3 } else { 1 };
    for call in (0..).step_by(every) {
        let disk = Disk::of(&registry);
        let before = pulls(&disk.root());
        let graph = graph_of(&disk);
        let plan = chosen(&graph);
        let has_pushed = Arc::new(AtomicBool::new(false));
        let fault = fails.map_or(Fault::Never, |after| Fault::Once(call + after, EIO));
        let storage = FaultyStorage::new(disk.storage(), fault).beside({
            let (root, has_pushed) = (disk.root(), Arc::clone(&has_pushed));
            move |number| {
                if number == call && !has_pushed.swap(true, Ordering::Relaxed) {
                    push_image(&root, "a", "old", PUSHED);
                }
            }
        });
        let done = act_as(&storage, &graph, &plan, &How::online(uses_trash));
        let when = format!("a push before call {call}, failure {fails:?}, trash {uses_trash}");
        if !has_pushed.load(Ordering::Relaxed) {
            return assert!(call > 50, "{call} calls");
        }
        // What a stopped run took is put back by the next one, which is what the person is told.
        look_after(&disk, &when);
        assert_pushed(&disk, &format!("{when}: {done:?}"));
        let mut after = pulls(&disk.root());
        after.remove(&("a".into(), "old".into()));
        assert_none_lost(&before, &after, &when);
    }
}

/// Puts back what runs took that have no end, as `prune --delete` does first.
fn look_after(disk: &Disk, when: &str) {
    let storage = disk.storage();
    let lock = lock(&storage).unwrap();
    if aside::is_left(&storage) {
        aside::restore(&storage, &lock).unwrap();
    }
    for run in held(&storage, true).unwrap() {
        let report = roll_back(&storage, &lock, &run.run, jiff::Timestamp::now()).unwrap();
        assert!(report.failures.is_empty(), "{when}: {report:?}");
    }
}

#[test]
fn a_push_right_before_any_change_is_whole() {
    push_before_each_call(true, None);
}

#[test]
fn a_push_right_before_any_change_is_whole_without_a_trash() {
    push_before_each_call(false, None);
}

#[test]
fn a_push_right_before_any_change_is_whole_although_the_next_change_fails() {
    for fails in [0, 1, 2] {
        push_before_each_call(true, Some(fails));
    }
}

/// The registry writes the link of a new image to a file that it opened before.
fn write_through(open: &File, root: &Path) {
    push_image(root, "a", "elsewhere", PUSHED);
    open.set_len(0).unwrap();
    let mut open = open;
    open.write_all(pushed_digest().to_string().as_bytes()).unwrap();
}

#[test]
fn a_link_that_is_written_to_in_the_trash_comes_back() {
    // The registry opened the file before it went, and writes to it now.
    let disk = Disk::of(&registry());
    let graph = graph_of(&disk);
    let plan = chosen(&graph);
    let root = disk.root();
    let link = disk.below(paths::tag_current("a", "old"));
    let open = File::options().write(true).open(&link).unwrap();
    let has_written = std::cell::Cell::new(false);
    let before_step = |_| {
        if !link.exists() && !has_written.replace(true) {
            write_through(&open, &root);
        }
    };
    let how = How { before_step: &before_step, ..How::online(true) };
    let done = act_as(&disk.storage(), &graph, &plan, &how).unwrap();
    let reasons: Vec<_> = done.skipped.iter().map(|skipped| &skipped.reason).collect();
    let is_said = reasons.iter().any(|reason| reason.contains("written to while it went"));
    assert!(is_said, "{reasons:?}");
    assert_pushed(&disk, "written to in the trash");
}

#[test]
fn a_link_that_is_written_to_in_the_trash_of_a_killed_run_comes_back() {
    let registry = registry();
    for uses_trash in [true, false] {
        let mut was_taken = 0;
        for call in 0.. {
            let disk = Disk::of(&registry);
            let graph = graph_of(&disk);
            let plan = chosen(&graph);
            let path = PathBuf::from(paths::tag_current("a", "old"));
            let link = disk.below(&path);
            let open = File::options().write(true).open(&link).unwrap();
            let storage = FaultyStorage::new(disk.storage(), Fault::From(call));
            drop(act_as(&storage, &graph, &plan, &How::online(uses_trash)));
            if storage.calls() <= call {
                break;
            }
            let when = format!("killed at call {call}, trash {uses_trash}");
            // Once it is known that nothing needs it the run has its end, or it is removed for good.
            let of_run = |run: &HeldRun| place_in_trash(&storage, &run.run, &path).unwrap();
            let unfinished = held(&storage, true).unwrap();
            if unfinished.iter().any(|run| disk.below(of_run(run)).exists()) {
                was_taken += 1;
                write_through(&open, &disk.root());
                look_after(&disk, &when);
                assert_pushed(&disk, &when);
            }
        }
        assert!(was_taken > 20, "{was_taken} times, trash {uses_trash}");
    }
}

/// Kills a deletion that keeps no trash at every call in turn; the next one goes on.
fn kill_without_a_trash(full: Option<&str>, least_calls: u64) {
    let registry = registry();
    let files = |disk: &Disk| -> BTreeSet<PathBuf> {
        let all = disk.tree().nodes.into_iter().filter(|(_, node)| !node.is_directory());
        all.map(|(path, _)| path).collect()
    };
    let prune = |disk: &Disk, fault| {
        let graph = graph_of(disk);
        let mut storage = FaultyStorage::new(disk.storage(), fault);
        if let Some(full) = full {
            storage = storage.without_room_below(full);
        }
        drop(act_as(&storage, &graph, &chosen(&graph), &How::online(false)));
        storage.calls()
    };
    let disk = Disk::of(&registry);
    let calls = prune(&disk, Fault::Never);
    let finished = files(&disk);
    assert!(calls > least_calls, "{calls} calls");
    let mut was_aside = 0;
    for call in 0..calls {
        let disk = Disk::of(&registry);
        let before = pulls(&disk.root());
        prune(&disk, Fault::From(call));
        let when = format!("killed at call {call}, no room in {full:?}");
        assert_none_lost(&before, &pulls(&disk.root()), &when);
        was_aside += u64::from(files(&disk).iter().any(|path| path.ends_with("gone")));
        look_after(&disk, &when);
        assert!(!files(&disk).iter().any(|path| path.ends_with("gone")), "{when}");
        assert_none_lost(&before, &pulls(&disk.root()), &when);
        prune(&disk, Fault::Never);
        let left = files(&disk);
        let differences: Vec<_> = left.symmetric_difference(&finished).collect();
        assert!(differences.is_empty(), "{when}: {differences:#?}");
    }
    assert_eq!(was_aside > 50, full.is_some(), "{was_aside} times");
}

#[test]
fn a_deletion_without_a_trash_beside_pushes_killed_anywhere_breaks_no_image() {
    kill_without_a_trash(None, 150);
}

#[test]
fn a_deletion_without_room_for_a_trash_killed_anywhere_breaks_no_image() {
    kill_without_a_trash(Some(".regsql/trash"), 150);
}

#[test]
fn a_deletion_without_room_for_any_directory_killed_anywhere_breaks_no_image() {
    kill_without_a_trash(Some(".regsql"), 150);
}
