//! A prune that is killed, or meets an error, at each of its changing calls in turn.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use regsql::graph::Graph;
use regsql::model::{Kind, Name};
use regsql::prune::{Outcome, Plan, Skipped};
use regsql::sample::{Content, Descriptor, RegistryBuilder, paths};
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::TrashError;

use super::pulls::{assert_none_lost, pulls, whole};
use super::{ACTING, Disk, act, plan_of, tag};
use crate::tree::{Node, Tree};

const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// Small, with one of everything that a prune takes and of everything that it must leave.
pub fn registry() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    registry.at(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_760_000_000_123_456_789));
    let [base, own, left] =
        [("base", 900), ("own", 800), ("left", 700)].map(|(name, size)| registry.layer(name, size));
    registry.image("a").layers([&base, &own]).push_tag("old");
    registry.image("a").layers([&base]).push_tag("new");
    let children: Vec<Descriptor> = ["amd64", "arm64", "s390x"]
        .map(|name| {
            let layer = registry.layer(name, 500);
            registry
                .image("a")
                .oci()
                .layers([&base, &layer])
                .platform(&format!("linux/{name}"))
                .push()
        })
        .into();
    registry.index("a").children(&children[..2]).push_tag("multi-old");
    let multi = registry.index("a").children(&children[1..]).push_tag("multi-new");
    registry.referrer("a", &children[0], "application/spdx+json", "{\"of\":\"amd64\"}");
    registry.referrer("a", &multi, "application/spdx+json", "{\"of\":\"multi\"}");
    registry.image("a").layers([&left]).push();
    // The same blobs are needed elsewhere, and one repository lies in another.
    registry.image("a/b").layers([&base, &own]).push_tag("1.0");
    registry.image("whole").layers([&base]).push_tag("1.0");
    registry.image("whole/inner").layers([&base]).push_tag("1.0");
    let named_by_sha512 = registry.layer("by sha512", 400);
    for (repository, name) in [("alias/old", "1.0"), ("alias/new", "1.0")] {
        let alias = registry.sha512_alias(repository, &named_by_sha512);
        registry.image(repository).oci().layers([&alias]).push_tag(name);
    }
    // Garbage: an orphan, a link that nothing needs, an upload, and a ghost with all of them.
    registry.layer("orphan", 600);
    let pushed = registry.layer("of a push that failed", 650);
    for repository in ["a", "ghost"] {
        registry.link_layer(repository, &pushed.digest);
        registry.upload(
            repository,
            "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10",
            10,
            "2026-01-02T03:04:05Z",
        );
    }
    for part in ["tags", "revisions/sha256"] {
        let path = format!("{}/_manifests/{part}", paths::repository("ghost"));
        registry.put(path, Content::Directory);
    }
    registry
}

/// Two tags, two whole repositories, and whatever is untagged at the time.
pub fn chosen(graph: &Graph) -> Plan {
    let repository = |name: &str| Name::Repository { repository: name.into() };
    let mut names = vec![tag("a", "old"), tag("a", "multi-old")];
    names.extend([repository("whole"), repository("alias/old")]);
    for node in &graph.repositories {
        let is_tagged = |blob: u32| {
            let id = graph.manifest_at(blob).unwrap();
            graph.tags_of(node).iter().filter_map(|tag| tag.target).any(|target| {
                let top = graph.manifest_at(target).unwrap();
                let mut led_to = vec![top];
                let mut at = 0;
                while let Some(&next) = led_to.get(at) {
                    at += 1;
                    led_to
                        .extend(graph.children(next).iter().copied().chain(graph.referrers(next)));
                }
                led_to.contains(&id)
            })
        };
        names.extend(graph.revisions_of(node).iter().filter(|blob| !is_tagged(**blob)).map(
            |blob| Name::Revision {
                repository: node.name.clone(),
                manifest_digest: graph.blobs[*blob as usize].digest.to_string(),
            },
        ));
    }
    plan_of(graph, names)
}

/// Plans over a fresh scan, and carries the plan out on a storage with this fault.
fn prune(disk: &Disk, fault: Fault, uses_trash: bool) -> (Result<Outcome, TrashError>, u64) {
    let graph = disk.graph();
    let plan = chosen(&graph);
    let storage = FaultyStorage::new(disk.storage(), fault);
    let done = act(&storage, &graph, &plan, uses_trash);
    (done, storage.calls())
}

/// Everything but directories.
fn files(tree: &Tree) -> BTreeMap<&PathBuf, &Node> {
    tree.nodes.iter().filter(|(_, node)| !node.is_directory()).collect()
}

/// What is left when nothing goes wrong.
fn finished(uses_trash: bool) -> Tree {
    let disk = Disk::of(&registry());
    let before = pulls(&disk.root());
    assert_eq!(whole(&before).len(), before.len());
    let (done, _) = prune(&disk, Fault::Never, uses_trash);
    let done = done.unwrap();
    assert_eq!(done.skipped, []);
    assert_eq!(done.counts[Kind::Tag], 4);
    // `whole`, `alias/old` and the ghost.
    assert_eq!(done.counts[Kind::Repository], 3);
    let after = pulls(&disk.root());
    assert_eq!(after.len(), before.len() - 4);
    assert_none_lost(&before, &after, "nothing went wrong");
    disk.tree()
}

/// Kills at every call; `check` gets what each leaves.
fn kill_everywhere(uses_trash: bool, check: impl Fn(&Disk, &Tree, &str)) -> u64 {
    let registry = registry();
    for call in 0.. {
        let disk = Disk::of(&registry);
        let (tree, before) = (disk.tree(), pulls(&disk.root()));
        let (_, calls) = prune(&disk, Fault::From(call), uses_trash);
        let when = format!("killed at call {call}");
        assert_none_lost(&before, &pulls(&disk.root()), &when);
        check(&disk, &tree, &when);
        if calls <= call {
            return call;
        }
    }
    unreachable!()
}

#[test]
fn a_prune_killed_anywhere_breaks_no_image_and_the_next_finishes_it() {
    let finished = finished(true);
    let calls = kill_everywhere(true, |disk, before, when| {
        let (done, _) = prune(disk, Fault::Never, true);
        assert_eq!(done.unwrap().skipped, [], "{when}");
        assert_eq!(files(&disk.tree()), files(&finished), "{when}");
        disk.undo_all(when);
        before.assert_same(&disk.tree(), when);
    });
    assert!(calls > 80, "{calls} calls");
}

#[test]
fn a_prune_killed_anywhere_is_undone_file_by_file() {
    kill_everywhere(true, |disk, before, when| {
        disk.undo_all(when);
        before.assert_same(&disk.tree(), when);
    });
}

#[test]
fn a_prune_without_trash_killed_anywhere_breaks_no_image_and_the_next_finishes_it() {
    let finished = finished(false);
    let calls = kill_everywhere(false, |disk, _, when| {
        let (done, _) = prune(disk, Fault::Never, false);
        assert_eq!(done.unwrap().skipped, [], "{when}");
        assert_eq!(files(&disk.tree()), files(&finished), "{when}");
    });
    assert!(calls > 100, "{calls} calls");
}

#[test]
fn an_error_at_any_call_breaks_no_image_and_what_stays_is_told() {
    let registry = registry();
    for uses_trash in [true, false] {
        let finished = finished(uses_trash);
        let calls = prune(&Disk::of(&registry), Fault::Never, uses_trash).1;
        for (call, errno) in (0..calls).zip([EIO, EACCES, ENOSPC, EROFS].into_iter().cycle()) {
            let disk = Disk::of(&registry);
            let (tree, before) = (disk.tree(), pulls(&disk.root()));
            let (done, _) = prune(&disk, Fault::Once(call, errno), uses_trash);
            let when = format!("error {errno} at call {call}, trash: {uses_trash}");
            assert_none_lost(&before, &pulls(&disk.root()), &when);
            let left = disk.tree();
            let is_finished = files(&left) == files(&finished);
            match &done {
                Ok(done) => assert!(is_finished || !done.skipped.is_empty(), "{when}: {done:?}"),
                Err(error) => assert!(!error.to_string().is_empty(), "{when}"),
            }
            let (done, _) = prune(&disk, Fault::Never, uses_trash);
            assert_eq!(done.unwrap().skipped, [], "{when}");
            assert_eq!(files(&disk.tree()), files(&finished), "{when}");
            if uses_trash {
                disk.undo_all(&when);
                tree.assert_same(&disk.tree(), &when);
            }
        }
    }
}

#[test]
fn a_program_killed_in_the_middle_of_a_large_run_is_undone() {
    let mut registry = registry();
    for number in 0..3_000 {
        let layer = registry.layer(&format!("of {number}"), 10);
        if number % 10 == 0 {
            registry.image("large").layers([&layer]).push_tag(&format!("old-{number}"));
        }
    }
    let disk = Disk::of(&registry);
    let (tree, before) = (disk.tree(), pulls(&disk.root()));
    assert!(disk.regsql(&["scan", "registry"]).status.success());
    let query = "--sql=SELECT repository, tag FROM tags WHERE tag LIKE 'old%'";
    let arguments = [&["prune", query, "--garbage"], &ACTING[..]].concat();
    let mut program = disk.command(&arguments);
    let mut program = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Tags and links have gone, and some of the blobs.
    let is_moving = || {
        let run = disk.runs().pop().unwrap_or_default();
        let files = disk.below(format!(".regsql/trash/{run}/files"));
        std::fs::read_dir(files).is_ok_and(|taken| {
            taken.flatten().filter(|taken| taken.path().join("data").exists()).nth(20).is_some()
        })
    };
    while !is_moving() {
        assert_eq!(program.try_wait().unwrap(), None, "it ended before it moved anything");
    }
    program.kill().unwrap();
    program.wait().unwrap();

    let run = disk.runs().pop().unwrap();
    assert!(
        !disk.below(".regsql/trash").join(&run).join("done.json").exists(),
        "it came to its end"
    );
    let left = pulls(&disk.root());
    assert_none_lost(&before, &left, "killed");
    assert!(left.len() < before.len());
    // The kernel has let go of the lock.
    let output = disk.regsql(&["undo", &run]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tree.assert_same(&disk.tree(), "undone");
}

#[test]
fn what_lies_in_the_trash_is_no_part_of_the_registry() {
    let disk = Disk::of(&registry());
    let pruned = disk.prune(&["--garbage", "--target=a:old", "--target=a:multi-old"]);
    assert_eq!(pruned["mode"], "deleted");
    assert_eq!(pruned["counts"]["tags"], 2);
    assert!(pruned["freed_bytes"].as_u64().unwrap() > 0);
    let summary = |arguments: &[&str]| {
        let output = disk.regsql(&[arguments, &["--format=csv"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let counts = "SELECT (SELECT count(*) FROM blobs WHERE is_present), (SELECT sum(size_bytes) FROM blobs), (SELECT count(*) FROM repositories), (SELECT count(*) FROM problems)";
    let with_trash = summary(&["sql", counts]);
    assert!(disk.below(".regsql/trash").is_dir());
    std::fs::rename(disk.below(".regsql"), disk.directory.path().join("aside")).unwrap();
    assert!(disk.regsql(&["scan", "registry", "--full"]).status.success());
    assert_eq!(summary(&["sql", counts]), with_trash);
}

#[test]
fn a_disk_that_becomes_full_takes_no_further_link_and_the_data_of_what_went_goes() {
    let registry = registry();
    let links_of = |outcome: &Outcome| -> Vec<Name> {
        let links = [Kind::Tag, Kind::Revision, Kind::LayerLink];
        let is_link = |name: &&Name| name.kind().is_some_and(|kind| links.contains(&kind));
        outcome.names.iter().filter(is_link).cloned().collect()
    };
    let (whole_run, calls) = prune(&Disk::of(&registry), Fault::Never, true);
    let all = links_of(&whole_run.unwrap());
    let mut stopped_between_links = 0;
    for first in 0..calls {
        let disk = Disk::of(&registry);
        let (tree, before) = (disk.tree(), pulls(&disk.root()));
        let (done, _) = prune(&disk, Fault::Full { first, count: 1 }, true);
        let when = format!("full at call {first}");
        assert_none_lost(&before, &pulls(&disk.root()), &when);
        // At other calls than those of steps nothing depends on the room.
        if let Some(done) = done.ok().filter(|done| done.is_disk_full) {
            let links = links_of(&done);
            if links.len() + 1 < all.len() {
                stopped_between_links += 1;
                assert_eq!(links, all[..links.len()], "{when}: links went after it");
                let graph = disk.graph();
                let is_linked = |blob: &u32| {
                    graph.links.iter().any(|link| link.target == *blob || link.name == *blob)
                };
                let garbage = plan_of(&graph, []);
                let stays = garbage.goes[Kind::Blob].iter().filter(|blob| !is_linked(blob)).count();
                assert_eq!(stays, 0, "{when}: data without a link stays");
                let is_told = |skipped: &Skipped| skipped.reason.contains("the disk is full");
                assert!(done.skipped.iter().any(is_told), "{when}: {:?}", done.skipped);
            }
        }
        disk.undo_all(&when);
        tree.assert_same(&disk.tree(), &when);
    }
    assert!(stopped_between_links > 10, "{stopped_between_links} of {calls}");
}
