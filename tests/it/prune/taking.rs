//! What each step of a deletion does, in which order, and what becomes of it when it is stopped, when the
//! trash cannot be used, or when the disk gives nothing back.

use std::cell::Cell;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use regsql::graph::{BlobNode, Edge, Graph, LinkNode, Parts, RepositoryNode, TagNode, UploadNode};
use regsql::model::progress::{Hidden, Progress};
use regsql::model::{Digest, Kind, Name, Role};
use regsql::prune::{
    Ages, Chosen, Clock, Environment, Marked, Outcome, Plan, Policy, RunError, RunOptions,
    SkipGroup, Step, now_on, plan, run,
};
use regsql::sample::{Content, RegistryBuilder, paths};
use regsql::storage::StorageWriter;
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::{Move, MoveKind, TrashError, held, summary, undo};

use super::beside::{graph_of, take_remembered};
use super::crash::{chosen, registry};
use super::{Disk, How, Made, Unattended, act_as, lock, plan_of, policy, tag};

const EACCES: i32 = 13;
const ENOSPC: i32 = 28;

/// A person who asks to stop `times` at one step.
struct Stopping {
    at: Step,
    times: u32,
    count: Cell<u32>,
}

impl Environment for Stopping {
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn detail(&self, _: &str) {}

    fn progress(&self) -> &dyn Progress {
        &Hidden
    }

    fn stop_count(&self) -> u32 {
        self.count.get()
    }

    fn sleep(&self, _: Duration) {}

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn before(&self, step: Step) {
        if step == self.at {
            self.count.set(self.times);
        }
    }
}

/// Carries a plan out online, and gives what it did and whether its end is known; `None` when it was
/// stopped before it began.
fn stopped(disk: &Disk, at: Step, times: u32) -> Option<(Outcome, bool)> {
    let storage = disk.storage();
    drop(lock(&storage).unwrap());
    let graph = graph_of(disk);
    let options = RunOptions {
        keeps_trash: true,
        is_online: true,
        wait: Duration::from_mins(10),
        registry: None,
        has_names: true,
    };
    let environment = Stopping { at, times, count: Cell::new(0) };
    let plan = chosen(&graph);
    let planned = || Ok::<_, Infallible>(Made { graph: &graph, plan: &plan });
    match run(&storage, &options, &environment, planned) {
        Ok(deleted) => Some((deleted.outcome, deleted.is_recorded)),
        Err(RunError::Stopped) => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_deletion_that_is_stopped_once_comes_to_its_end_and_one_stopped_twice_is_put_back_by_the_next()
{
    let disk = Disk::of(&registry());
    let before = disk.tree();
    assert!(stopped(&disk, Step::Plan, 1).is_none(), "nothing was touched yet");
    before.assert_same(&disk.tree(), "stopped before it began");
    for times in 0..=2 {
        let disk = Disk::of(&registry());
        let (done, is_recorded) = stopped(&disk, Step::Remove(3), times).unwrap();
        assert_eq!(done.is_interrupted, times > 0, "stopped {times} times");
        // The step at which the person asked is made; none after it is begun.
        assert_eq!(done.names.len() == 4, times > 0, "{:?}", done.names);
        assert_eq!(is_recorded, times < 2, "stopped {times} times");
        let unfinished = held(&disk.storage(), true).unwrap();
        assert_eq!(unfinished.len(), usize::from(times == 2), "stopped {times} times");
        let last = summary(&disk.storage()).last.unwrap();
        assert_eq!(last.is_complete, times == 0, "stopped {times} times");
        assert_eq!(last.counts, done.moved);
    }
}

#[test]
fn nothing_goes_without_the_trash_that_was_asked_for_and_only_a_full_disk_or_a_mount_is_no_fault() {
    let registry = registry();
    // A full disk: only who keeps no trash goes on without one.
    for (keeps_trash, goes) in [(true, false), (false, true)] {
        let disk = Disk::of(&registry);
        let before = disk.tree();
        let graph = graph_of(&disk);
        let storage =
            FaultyStorage::new(disk.storage(), Fault::Never).without_room_below(".regsql/trash");
        let done = act_as(&storage, &graph, &chosen(&graph), &How::online(keeps_trash));
        assert_eq!(done.is_ok(), goes, "trash {keeps_trash}: {done:?}");
        if !goes {
            before.assert_same(&disk.tree(), "no room for the trash");
        }
    }
    // Any other error while the trash is made: no one goes on.
    let calls_before = |wanted: Step| {
        let disk = Disk::of(&registry);
        let graph = graph_of(&disk);
        let storage = FaultyStorage::new(disk.storage(), Fault::Never);
        let found = Cell::new(None);
        carry_out(&storage, &graph, &chosen(&graph), false, &|step| {
            if step == wanted && found.get().is_none() {
                found.set(Some(storage.calls()));
            }
        })
        .unwrap();
        found.get().unwrap()
    };
    let making_the_trash = calls_before(Step::Begin)..calls_before(Step::Remove(0));
    assert!(making_the_trash.end > making_the_trash.start + 3, "{making_the_trash:?}");
    for call in making_the_trash {
        let disk = Disk::of(&registry);
        let before = disk.tree();
        let graph = graph_of(&disk);
        let storage = FaultyStorage::new(disk.storage(), Fault::Once(call, EACCES));
        let done = carry_out(&storage, &graph, &chosen(&graph), false, &|_| {});
        assert!(matches!(done, Err(TrashError::Write { .. })), "call {call}: {done:?}");
        before.assert_same(&disk.tree(), "the trash could not be made");
    }
}

/// Carries a plan out beside pushes, and calls `before` before each step.
fn carry_out(
    storage: &dyn StorageWriter,
    graph: &Graph,
    plan: &Plan,
    keeps_trash: bool,
    before: &dyn Fn(Step),
) -> Result<Outcome, TrashError> {
    let how = RunOptions {
        keeps_trash,
        is_online: true,
        wait: Duration::from_mins(10),
        registry: None,
        has_names: true,
    };
    match run(storage, &how, &Unattended { before }, || Ok::<_, Infallible>(Made { graph, plan })) {
        Ok(deleted) => Ok(deleted.outcome),
        Err(RunError::Trash(error)) => Err(error),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn without_a_trash_nothing_is_left_in_one_and_alone_none_is_begun() {
    for is_online in [true, false] {
        let disk = Disk::of(&registry());
        let graph = graph_of(&disk);
        let trash = disk.below(".regsql/trash");
        let is_begun = Arc::new(AtomicBool::new(false));
        let storage = FaultyStorage::new(disk.storage(), Fault::Never).beside({
            let is_begun = Arc::clone(&is_begun);
            move |_| {
                let runs = std::fs::read_dir(&trash).map_or(0, Iterator::count);
                is_begun.fetch_or(runs > 0, Ordering::Relaxed);
            }
        });
        let how = if is_online { How::online(false) } else { How::alone(false) };
        let done = act_as(&storage, &graph, &chosen(&graph), &how).unwrap();
        assert!(done.counts[Kind::Blob] > 0, "{done:?}");
        assert_eq!(is_begun.load(Ordering::Relaxed), is_online);
        assert_eq!(disk.runs(), Vec::<String>::new(), "online {is_online}");
    }
}

#[test]
fn a_run_that_took_nothing_leaves_nothing_in_the_trash_and_is_not_waited_for() {
    let waits = |is_changed: bool| {
        let mut registry = RegistryBuilder::new();
        registry.layer("orphan", 600);
        registry.image("app").push_tag("1.0");
        let disk = Disk::of(&registry);
        let graph = graph_of(&disk);
        let plan = plan_of(&graph, [tag("app", "1.0")]);
        if is_changed {
            // Somebody else has deleted all that the plan takes, before the lock was taken.
            act_as(&disk.storage(), &graph, &plan, &How::alone(false)).unwrap();
        }
        let waits = Cell::new(0);
        let storage = disk.storage();
        let done = carry_out(&storage, &graph, &plan, true, &|step| {
            waits.set(waits.get() + u32::from(step == Step::Wait));
        })
        .unwrap();
        assert_eq!(done.names.is_empty(), is_changed, "{:?}", done.names);
        (waits.get(), disk.runs().len())
    };
    assert_eq!(waits(false), (2, 1));
    assert_eq!(waits(true), (1, 0));
}

#[test]
fn once_the_disk_is_full_no_further_link_goes_and_the_data_of_those_before_does() {
    let registry = registry();
    let mut was_full = 0;
    for call in 0..60 {
        let disk = Disk::of(&registry);
        let graph = graph_of(&disk);
        let storage = FaultyStorage::new(disk.storage(), Fault::Once(call, ENOSPC));
        let Ok(done) = act_as(&storage, &graph, &chosen(&graph), &How::alone(true)) else {
            continue;
        };
        let is_reference = |name: &Name| {
            let kind = name.kind().unwrap();
            matches!(kind, Kind::Tag | Kind::TagHistory | Kind::Revision | Kind::LayerLink)
        };
        let no_room = |reason: &str| reason.starts_with("the disk is full; ");
        let stay = done.skipped.iter().filter(|skipped| no_room(&skipped.reason));
        let stay: Vec<&Name> = stay.map(|skipped| &skipped.name).collect();
        assert!(stay.iter().all(|name| is_reference(name)), "call {call}: {stay:?}");
        if done.is_disk_full && !stay.is_empty() {
            was_full += 1;
            assert!(done.counts[Kind::Blob] > 0, "call {call}: {:?}", done.skipped);
            assert!(done.counts[Kind::Upload] > 0, "call {call}: {:?}", done.skipped);
        }
    }
    assert!(was_full > 5, "{was_full} times");
}

#[test]
fn what_was_taken_and_cannot_be_looked_at_comes_back() {
    let is_in_trash =
        |path: &Path| path.starts_with(".regsql/trash") && path.iter().any(|part| part == "files");
    for keeps_trash in [true, false] {
        let disk = Disk::of(&registry());
        let before = disk.tree();
        let graph = graph_of(&disk);
        let mut storage = FaultyStorage::new(disk.storage(), Fault::Never)
            .unable_to_read(move |path| is_in_trash(path) || path.ends_with("gone"));
        if !keeps_trash {
            // Then it is put aside.
            storage = storage.without_room_below(".regsql/trash");
        }
        let done = act_as(&storage, &graph, &chosen(&graph), &How::online(keeps_trash)).unwrap();
        assert_eq!(done.counts[Kind::Tag], 0, "{done:?}");
        for tag in ["old", "multi-old"] {
            let link = paths::tag_current("a", tag);
            assert!(disk.below(&link).exists(), "a:{tag} is not back: {:?}", done.skipped);
            assert_eq!(before.nodes[Path::new(&link)], disk.tree().nodes[Path::new(&link)]);
        }
    }
}

/// Which step took a thing of this name.
fn step_of(done: &Outcome, is_it: impl Fn(&Name) -> bool) -> usize {
    done.names.iter().position(is_it).unwrap_or_else(|| panic!("{:#?}", done.names))
}

#[test]
fn what_leads_to_a_thing_goes_before_it() {
    let disk = Disk::of(&registry());
    let graph = graph_of(&disk);
    let done = act_as(&disk.storage(), &graph, &chosen(&graph), &How::alone(true)).unwrap();
    let revision = |wanted: u32| {
        let digest = graph.blobs[graph.manifests[wanted as usize] as usize].digest.to_string();
        done.names.iter().position(|name| {
            matches!(name, Name::Revision { manifest_digest, .. } if *manifest_digest == digest)
        })
    };
    let mut pairs = 0;
    for id in 0..graph.manifests.len() as u32 {
        for below in graph.children(id).iter().copied().chain(graph.referrers(id)) {
            if let (Some(above), Some(below)) = (revision(id), revision(below)) {
                assert!(above < below, "{:#?}", done.names);
                pairs += 1;
            }
        }
    }
    assert!(pairs > 1, "{pairs} pairs in {:#?}", done.names);
    // A registry that deletes an alias looks up, and remembers, what it stands for.
    let link_of = |text: &'static str| {
        move |name: &Name| {
            matches!(name, Name::LayerLink { repository, link_digest }
                if repository == "alias/old" && link_digest.starts_with(text))
        }
    };
    assert!(step_of(&done, link_of("sha512:")) < step_of(&done, link_of("sha256:")));
    let last_tag = done.names.iter().rposition(|name| name.kind() == Some(Kind::Tag)).unwrap();
    assert!(last_tag < step_of(&done, |name| name.kind() == Some(Kind::Revision)));
    assert!(
        done.names.iter().rposition(|name| name.kind() == Some(Kind::LayerLink)).unwrap()
            < step_of(&done, |name| name.kind() == Some(Kind::Blob))
    );
}

#[test]
fn of_a_repository_that_goes_whole_no_directory_is_left_up_to_one_that_others_need() {
    for uses_trash in [true, false] {
        let mut registry = RegistryBuilder::new();
        registry.image("team/deep/app").push_tag("1.0");
        registry.image("team/other").push_tag("1.0");
        let disk = Disk::of(&registry);
        let tree = disk.tree();
        let graph = graph_of(&disk);
        let whole = Name::Repository { repository: "team/deep/app".into() };
        let plan = plan_of(&graph, [whole.clone()]);
        let done = act_as(&disk.storage(), &graph, &plan, &How::alone(uses_trash)).unwrap();
        assert!(done.names.contains(&whole), "{:?}", done.names);
        let place = disk.below(paths::repository("team"));
        assert!(place.join("other").is_dir());
        assert!(!place.join("deep").exists(), "trash {uses_trash}: {:?}", done.names);
        if uses_trash {
            disk.undo_all("pruned");
            tree.assert_same(&disk.tree(), "undone");
        }
    }
}

#[test]
fn a_blob_takes_its_links_under_every_name_along() {
    let mut registry = RegistryBuilder::new();
    let orphan = registry.layer("orphan", 600);
    registry.image("app").push_tag("1.0");
    registry.link_layer("app", &orphan.digest);
    registry.sha512_alias("app", &orphan);
    let graph = graph_of(&Disk::of(&registry));
    let mut wished = Chosen::nothing(&graph);
    wished.add(Name::Blob { blob_digest: orphan.digest.to_string(), size_bytes: 600 });
    let plan = plan(wished, &policy());
    assert_eq!(plan.skipped, []);
    assert_eq!(plan.counts()[Kind::Blob], 1);
    assert_eq!(plan.counts()[Kind::LayerLink], 2, "one that stayed would lead nowhere");
}

#[test]
fn a_link_that_nothing_needs_goes_by_itself_or_with_its_ghost_and_its_blob_stays() {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("needed elsewhere", 600);
    registry.image("app").layers([&layer]).push_tag("1.0");
    registry.link_layer("ghost", &layer.digest);
    let graph = graph_of(&Disk::of(&registry));
    let link = |repository: &str| Name::LayerLink {
        repository: repository.into(),
        link_digest: layer.digest.to_string(),
    };
    let goes = |name: Name| {
        let mut chosen = Chosen::nothing(&graph);
        chosen.add(name);
        let plan = plan(chosen, &policy());
        let groups: Vec<SkipGroup> = plan.skipped.iter().map(|skipped| skipped.group).collect();
        assert_eq!(plan.counts()[Kind::Blob], 0);
        (plan.counts()[Kind::LayerLink], plan.counts()[Kind::Repository], groups)
    };
    assert_eq!(goes(link("ghost")), (1, 0, vec![]));
    assert_eq!(goes(link("app")), (0, 0, vec![SkipGroup::Needed]));
    assert_eq!(goes(Name::Repository { repository: "ghost".into() }), (1, 1, vec![]));
}

#[test]
fn garbage_takes_a_repository_of_which_nothing_is_left_and_leaves_one_that_cannot_be_read() {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("needed elsewhere", 600);
    registry.image("app").layers([&layer]).push_tag("1.0");
    for name in ["ghost", "hidden"] {
        registry.link_layer(name, &layer.digest);
    }
    let disk = Disk::of(&registry);
    let hidden = disk.below(paths::repository("hidden")).join("_manifests");
    std::os::unix::fs::symlink("/mnt/gone", hidden).unwrap();
    let graph = graph_of(&disk);
    let plan = plan_of(&graph, []);
    let repositories: Vec<Name> =
        plan.names(&graph).filter(|name| name.kind() == Some(Kind::Repository)).collect();
    assert_eq!(repositories, [Name::Repository { repository: "ghost".into() }]);
}

#[test]
fn a_row_must_be_right_about_what_its_tag_points_at() {
    let mut registry = RegistryBuilder::new();
    let image = registry.image("app").push_tag("1.0");
    let graph = graph_of(&Disk::of(&registry));
    let goes = |digest: &Digest| {
        let mut chosen = Chosen::nothing(&graph);
        chosen.add(Name::Tag {
            repository: "app".into(),
            tag: "1.0".into(),
            manifest_digest: Some(digest.to_string()),
        });
        let groups: Vec<SkipGroup> = chosen.skipped.iter().map(|skipped| skipped.group).collect();
        (plan(chosen, &policy()).counts()[Kind::Tag], groups)
    };
    assert_eq!(goes(&image.digest), (1, vec![]));
    assert_eq!(goes(&Digest::of(b"another")), (0, vec![SkipGroup::NotThere]));
}

fn blob(name: &str, changed_ns: Option<i64>) -> BlobNode {
    BlobNode {
        digest: Digest::of(name.as_bytes()),
        size_bytes: Some(10),
        may_be_manifest: name == "manifest",
        is_layer: true,
        changed_ns,
    }
}

/// One repository `app`: a manifest without a tag that names a layer, one link, one upload, and a blob that
/// nothing leads to. Everything was written at 100 but what `times` say.
fn small(layer_ns: i64, link_ns: i64, pushed_ns: i64) -> (Graph, [u32; 4]) {
    let mut blobs: Vec<BlobNode> = vec![
        blob("manifest", Some(100)),
        blob("layer", Some(layer_ns)),
        blob("linked", Some(100)),
        blob("orphan", Some(100)),
    ];
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    let place = |name: &str| {
        let digest = Digest::of(name.as_bytes());
        blobs.iter().position(|blob| blob.digest == digest).unwrap() as u32
    };
    let places = ["manifest", "layer", "linked", "orphan"].map(place);
    let [manifest, layer, linked, _] = places;
    let graph = Graph::new(Parts {
        manifests: vec![manifest],
        edges: vec![Edge { manifest, role: Role::Layer, blob: layer, is_external: false }],
        repositories: vec![RepositoryNode {
            name: "app".into(),
            tags: 0..1,
            revisions: 0..1,
            links: 0..1,
            ..RepositoryNode::default()
        }],
        tags: vec![TagNode {
            name: "half".into(),
            target: None,
            pushed_ns: Some(100),
            subject: None,
        }],
        revisions: vec![manifest],
        revisions_pushed_ns: vec![Some(pushed_ns)],
        links: vec![LinkNode { name: linked, target: linked, linked_ns: Some(link_ns) }],
        uploads: vec![UploadNode {
            repository: 0,
            upload_id: "0".into(),
            size_bytes: 5,
            active_ns: Some(100),
        }],
        blobs: blobs.into(),
        ..Parts::default()
    });
    (graph, places)
}

#[test]
fn a_blob_is_as_young_as_the_last_that_was_written_for_it() {
    let (graph, [manifest, layer, linked, orphan]) = small(50, 900, 700);
    let ages = Ages::new(&graph);
    let touched = [manifest, layer, linked, orphan].map(|blob| ages.touched_ns(blob));
    assert_eq!(touched, [Some(700), Some(700), Some(900), Some(100)]);
    let (graph, [manifest, layer, linked, _]) = small(800, 20, 30);
    let ages = Ages::new(&graph);
    let touched = [manifest, layer, linked].map(|blob| ages.touched_ns(blob));
    assert_eq!(touched, [Some(100), Some(800), Some(100)]);
}

/// All garbage at the time 1000, when what is younger than `min_age_ns` stays.
fn garbage_at_1000(graph: &Graph, min_age_ns: u64) -> Plan {
    let clock = Clock { now_ns: 1000, min_age: Duration::from_nanos(min_age_ns) };
    let mut wished = Chosen::nothing(graph);
    wished.is_garbage_chosen = true;
    plan(wished, &Policy { clock, ..policy() })
}

#[test]
fn a_link_that_was_written_a_moment_ago_keeps_its_old_blob() {
    let (graph, [_, _, linked, orphan]) = small(100, 900, 100);
    let goes = |min_age_ns| garbage_at_1000(&graph, min_age_ns).goes[Kind::Blob].clone();
    assert_eq!(goes(500), [orphan], "the link of the other is 100 old");
    // As old as that and no younger is old enough.
    assert_eq!(goes(101), [orphan]);
    let mut both = [linked, orphan];
    both.sort_unstable();
    assert_eq!(goes(100), both);
    assert_eq!(goes(901), Vec::<u32>::new(), "900 is younger than 901");
}

#[test]
fn what_an_earlier_run_has_marked_is_not_listed_again() {
    let (graph, [.., orphan]) = small(100, 100, 100);
    let marked = |kind, repository: Option<&str>, name: String| Move {
        path: "somewhere".into(),
        kind,
        repository: repository.map(Into::into),
        name,
        size_bytes: 5,
        access: None,
        is_corrupt: false,
    };
    let digest = graph.blobs[orphan as usize].digest.to_string();
    let moves = [
        marked(MoveKind::Upload, Some("app"), "0".into()),
        marked(MoveKind::Upload, Some("another"), "1".into()),
        marked(MoveKind::Blob, None, digest),
    ];
    let known = Marked::new(&graph, &moves);
    assert!(known.has_upload(0) && known.has_blob(orphan));
    assert!(!known.has_upload(1) && !known.has_blob(orphan + 1));
    let of_another = Marked::new(&graph, &moves[1..2]);
    assert!(!of_another.has_upload(0));

    let goes = |marked: Marked| {
        let mut wished = Chosen::nothing(&graph);
        wished.is_garbage_chosen = true;
        let planned = plan(wished, &Policy { marked, ..policy() });
        let skipped: Vec<SkipGroup> = planned.skipped.iter().map(|skipped| skipped.group).collect();
        (planned.counts()[Kind::Upload], planned.goes[Kind::Blob].contains(&orphan), skipped)
    };
    assert_eq!(goes(Marked::default()), (1, true, vec![]));
    assert_eq!(goes(of_another), (1, true, vec![]));
    assert_eq!(goes(known), (0, false, vec![SkipGroup::Marked; 2]));
}

#[test]
fn an_undo_removes_the_mark_of_its_end_after_the_list() {
    let disk = Disk::of(&registry());
    let before = disk.tree();
    let graph = graph_of(&disk);
    act_as(&disk.storage(), &graph, &chosen(&graph), &How::alone(true)).unwrap();
    let run = disk.runs()[0].clone();
    let directory = disk.below(".regsql/trash").join(&run);
    let has = move |name: &str| directory.join(name).exists();
    assert!(has("moves.jsonl") && has("done.json"));
    // A list without the mark is that of a run which never came to its end: the next prune would put back
    // what a person has deleted since.
    let storage = FaultyStorage::new(disk.storage(), Fault::Never).beside(move |call| {
        assert!(!has("moves.jsonl") || has("done.json"), "before call {call}");
    });
    let taken = lock(&storage as &dyn StorageWriter).unwrap();
    let report = undo(&storage, &taken, &run).unwrap();
    assert!(report.is_whole() && report.is_removed, "{report:?}");
    assert_eq!(disk.runs(), Vec::<String>::new());
    before.assert_same(&disk.tree(), "undone");
}

#[test]
fn a_manifest_goes_through_the_api_only_while_no_tag_may_point_at_it() {
    let mut registry = RegistryBuilder::new();
    let tagged = registry.image("app").push_tag("1.0");
    let untagged = registry.image("app").label("number", "2").push();
    registry.put(paths::tag("app", "half"), Content::Directory);
    let name =
        Name::Revision { repository: "app".into(), manifest_digest: untagged.digest.to_string() };
    let link = paths::revision_link("app", &untagged.digest);
    let points_at_it = untagged.digest.to_string();
    let half = paths::tag_current("app", "half");
    // What a client does between two deletes: nothing, a tag that cannot be read, a tag that points at it,
    // and one that points elsewhere.
    for (number, stays) in [false, true, true, false].into_iter().enumerate() {
        let disk = Disk::of(&registry);
        let place = disk.below(&half);
        let write = |_: &Path| {
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            match number {
                0 => {}
                1 => std::fs::create_dir_all(&place).unwrap(),
                2 => std::fs::write(&place, &points_at_it).unwrap(),
                _ => std::fs::write(&place, tagged.digest.to_string()).unwrap(),
            }
        };
        let storage = disk.storage();
        let done = take_remembered(&disk, &storage, &name, true, &write);
        assert_eq!(disk.below(&link).exists(), stays, "{number}: {done:?}");
        assert_eq!(done.counts[Kind::Revision], u64::from(!stays), "{number}: {done:?}");
    }
    // No tag can be looked at.
    let disk = Disk::of(&registry);
    let is_off = Arc::new(AtomicBool::new(false));
    let is_of_tags = {
        let is_off = Arc::clone(&is_off);
        move |path: &Path| path.ends_with("_manifests/tags") && is_off.load(Ordering::Relaxed)
    };
    let storage = FaultyStorage::new(disk.storage(), Fault::Never).unable_to_read(is_of_tags);
    let turn_off = |_: &Path| is_off.store(true, Ordering::Relaxed);
    let done = take_remembered(&disk, &storage, &name, true, &turn_off);
    assert!(disk.below(&link).exists(), "{done:?}");
    assert_eq!(done.counts[Kind::Revision], 0, "{done:?}");
}

#[test]
fn what_has_no_time_is_young_unless_age_does_not_matter() {
    let clock = |nanoseconds| Clock { now_ns: 10, min_age: Duration::from_nanos(nanoseconds) };
    assert!(clock(1).is_fresh(None) && !clock(0).is_fresh(None));
    assert!(clock(6).is_fresh(Some(5)) && !clock(5).is_fresh(Some(5)));
    assert!(clock(1).is_fresh(Some(11)), "what lies ahead is of age 0");
    assert!(!clock(0).is_fresh(Some(11)));
}

#[test]
fn the_time_is_that_of_the_disk_unless_this_machine_is_behind_it() {
    let disk = Disk::of(&registry());
    let storage = disk.storage();
    std::fs::create_dir(disk.below(".regsql")).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let year = 365 * 24 * 3600 * 1_000_000_000;
    let stamped = now_on(&storage, now + year);
    assert!((now - year / 2..now + year / 2).contains(&stamped), "{stamped}");
    assert_eq!(now_on(&storage, 12_345), 12_345);
}
