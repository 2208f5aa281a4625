//! Pushes and mishaps while a plan is being carried out, before each of its steps in turn.

use std::fs;
use std::path::Path;

use regsql::prune::Outcome;
use regsql::sample::{Content, Descriptor, RegistryBuilder, media_types, paths};
use regsql::trash::undo;

use super::crash::{chosen, registry};
use super::pulls::{Pulls, assert_none_lost, pulls};
use super::{Disk, How, act, act_as, lock};

/// What someone else does; gives the tags that must be whole from then on.
type Change = fn(&Path) -> Vec<(&'static str, &'static str)>;

/// Writes what a registry writes when a client pushes: a client asks for each blob first and skips
/// those that are served; blobs that are there are not written again, links are.
fn push(root: &Path, pushed: &RegistryBuilder, top: &Descriptor) {
    // Blobs come before the links to them, and the tag last.
    for part in ["/blobs/", "/_layers/", "/revisions/", "/index/", "/current/"] {
        for (path, entry) in pushed.tree.iter().filter(|(path, _)| path.contains(part)) {
            let Content::Bytes(bytes) = &entry.content else {
                continue;
            };
            let target = root.join(path);
            let is_served = || {
                let digest = String::from_utf8(bytes.clone()).unwrap();
                let data = paths::blob(&regsql::model::Digest::parse(&digest).unwrap());
                target.is_file() && root.join(data).is_file()
            };
            let is_top = path.contains(&top.digest.encoded());
            let is_skipped = match part {
                "/blobs/" => target.is_file(),
                "/_layers/" => is_served(),
                "/revisions/" => !is_top && is_served(),
                _ => false,
            };
            if !is_skipped {
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::write(target, bytes).unwrap();
            }
        }
    }
}

/// An image of layers that are there already, pushed under a tag.
pub fn push_image(
    root: &Path,
    repository: &'static str,
    tag: &'static str,
    layers: &[(&str, u64)],
) {
    let mut pushed = RegistryBuilder::new();
    let layers: Vec<_> = layers.iter().map(|(name, size)| pushed.layer(name, *size)).collect();
    let image = pushed.image(repository).layers(&layers).push_tag(tag);
    push(root, &pushed, &image);
}

/// Pushes while the plan is carried out, before each of its steps in turn.
fn change_everywhere(change: Change, is_conflict: bool) {
    let registry = registry();
    for step in 0.. {
        let disk = Disk::of(&registry);
        let before = pulls(&disk.root());
        let graph = disk.graph();
        let plan = chosen(&graph);
        let steps = std::cell::Cell::new(0);
        let whole = std::cell::RefCell::default();
        let before_step = |number| {
            steps.set(number);
            if number == step {
                *whole.borrow_mut() = change(&disk.root());
            }
        };
        let how = How { before_step: &before_step, ..How::online(true) };
        let done = act_as(&disk.storage(), &graph, &plan, &how).unwrap();
        let when = format!("before step {step}");
        let whole = whole.into_inner();
        check(&before, &disk, &whole, &when);
        let is_told = !done.skipped.is_empty() || done.put_back_count > 0;
        assert!(is_told || !is_conflict || step > 0, "{when}: {done:?}");

        // Undo may find things in its way; it loses nothing of either.
        let storage = disk.storage();
        let lock = lock(&storage).unwrap();
        for run in disk.runs() {
            let report = undo(&storage, &lock, &run).unwrap();
            assert!(report.failures.is_empty(), "{when}: {report:?}");
        }
        check(&before, &disk, &whole, &format!("{when}, undone"));
        if steps.get() < step {
            return;
        }
    }
}

/// Tags that were there and are not are the plan's; the others are as whole as they were, and those
/// that were pushed meanwhile are whole.
#[track_caller]
fn check(before: &Pulls, disk: &Disk, whole: &[(&str, &str)], when: &str) {
    let mut after = pulls(&disk.root());
    for (repository, tag) in whole {
        let got = after.remove(&(repository.into(), tag.into()));
        let got = got.unwrap_or_else(|| panic!("{when}: {repository}:{tag} is gone"));
        let missing: Vec<_> = got.iter().filter(|(_, is_there)| !**is_there).collect();
        assert!(missing.is_empty(), "{when}: {repository}:{tag} misses {missing:?}");
    }
    assert_none_lost(before, &after, when);
    for kept in [("a", "new"), ("a", "multi-new"), ("a/b", "1.0"), ("whole/inner", "1.0")] {
        if !whole.contains(&kept) {
            assert!(after.contains_key(&(kept.0.into(), kept.1.into())), "{when}: {kept:?}");
        }
    }
}

#[test]
fn a_tag_that_is_pushed_again_with_another_image_stays() {
    change_everywhere(
        |root| {
            push_image(root, "a", "old", &[("base", 900), ("own", 800), ("newer", 300)]);
            vec![("a", "old")]
        },
        true,
    );
}

#[test]
fn an_image_that_is_pushed_again_as_it_was_stays() {
    change_everywhere(
        |root| {
            push_image(root, "a", "old", &[("base", 900), ("own", 800)]);
            vec![("a", "old")]
        },
        true,
    );
}

#[test]
fn another_tag_on_an_image_that_goes_keeps_it() {
    change_everywhere(
        |root| {
            push_image(root, "a", "another", &[("base", 900), ("own", 800)]);
            vec![("a", "another")]
        },
        true,
    );
}

/// The revision keeps its time: somebody copies the tag, or puts it back by hand.
#[test]
fn another_tag_that_is_written_alone_on_an_image_that_goes_keeps_it() {
    change_everywhere(
        |root| {
            let mut pushed = RegistryBuilder::new();
            let layers = [pushed.layer("base", 900), pushed.layer("own", 800)];
            let image = pushed.image("a").layers(&layers).push();
            let mut alone = RegistryBuilder::new();
            alone.tag("a", "another", &image.digest);
            push(root, &alone, &image);
            vec![("a", "another")]
        },
        true,
    );
}

#[test]
fn a_new_image_of_layers_that_go_keeps_them() {
    change_everywhere(
        |root| {
            // One is linked and goes with an untagged image, two are garbage.
            let layers =
                [("left", 700), ("orphan", 600), ("of a push that failed", 650), ("amd64", 500)];
            push_image(root, "a", "fresh", &layers);
            vec![("a", "fresh")]
        },
        true,
    );
}

#[test]
fn a_layer_mounted_into_a_new_repository_stays() {
    change_everywhere(
        |root| {
            push_image(root, "new/app", "1.0", &[("left", 700), ("amd64", 500)]);
            vec![("new/app", "1.0")]
        },
        true,
    );
}

#[test]
fn a_push_into_a_repository_that_goes_whole_stays() {
    change_everywhere(
        |root| {
            push_image(root, "whole", "fresh", &[("base", 900)]);
            push_image(root, "ghost", "fresh", &[("of a push that failed", 650)]);
            vec![("whole", "fresh"), ("ghost", "fresh")]
        },
        true,
    );
}

#[test]
fn a_new_index_keeps_children_that_go() {
    change_everywhere(
        |root| {
            let mut pushed = RegistryBuilder::new();
            let base = pushed.layer("base", 900);
            let layer = pushed.layer("amd64", 500);
            let layers = [&base, &layer];
            let child = pushed.image("a").oci().layers(layers).platform("linux/amd64").push();
            let index = pushed.index("a").children([&child]).push_tag("again");
            push(root, &pushed, &index);
            vec![("a", "again")]
        },
        true,
    );
}

#[test]
fn a_new_index_keeps_children_that_go_whatever_it_calls_them() {
    change_everywhere(
        |root| {
            let mut pushed = RegistryBuilder::new();
            let base = pushed.layer("base", 900);
            let layer = pushed.layer("amd64", 500);
            let layers = [&base, &layer];
            let child = pushed.image("a").oci().layers(layers).platform("linux/amd64").push();
            let child = child.of_type(media_types::OCI_LAYER);
            let index = pushed.index("a").children([&child]).push_tag("again");
            push(root, &pushed, &index);
            vec![("a", "again")]
        },
        true,
    );
}

#[test]
fn a_layer_pushed_by_its_sha512_keeps_the_blob_that_goes() {
    change_everywhere(
        |root| {
            let mut pushed = RegistryBuilder::new();
            let layer = pushed.layer("left", 700);
            let alias = pushed.sha512_alias("alias/new", &layer);
            let image = pushed.image("alias/new").oci().layers([&alias]).push_tag("again");
            push(root, &pushed, &image);
            vec![("alias/new", "again")]
        },
        true,
    );
}

#[test]
fn a_tag_deleted_by_someone_else_harms_nothing() {
    change_everywhere(
        |root| {
            for tag in ["old", "multi-old"] {
                drop(fs::remove_dir_all(root.join(paths::tag("a", tag))));
            }
            Vec::new()
        },
        false,
    );
}

#[test]
fn an_unreadable_part_that_appears_stops_the_rest() {
    change_everywhere(
        |root| {
            let layers = root.join(paths::repository("a/b")).join("_layers");
            let aside = layers.with_file_name("_aside");
            if fs::rename(&layers, &aside).is_ok() {
                std::os::unix::fs::symlink(&aside, &layers).unwrap();
            }
            Vec::new()
        },
        true,
    );
}

/// Carries the plan out after a change that was made since the scan.
fn act_after(change: impl Fn(&Path), uses_trash: bool) -> (Disk, Outcome) {
    let disk = Disk::of(&registry());
    let graph = disk.graph();
    let plan = chosen(&graph);
    change(&disk.root());
    let done = act(&disk.storage(), &graph, &plan, uses_trash).unwrap();
    (disk, done)
}

fn reasons(done: &Outcome) -> Vec<String> {
    done.skipped
        .iter()
        .map(|skipped| format!("{}: {}", skipped.name.text(), skipped.reason))
        .collect()
}

#[test]
fn a_blob_that_is_written_again_stays_and_is_told() {
    for uses_trash in [true, false] {
        let orphan = RegistryBuilder::new().layer("orphan", 600).digest;
        let data = paths::blob(&orphan);
        let (disk, done) =
            act_after(|root| fs::write(root.join(&data), "something else").unwrap(), uses_trash);
        assert_eq!(reasons(&done), [format!("blob {orphan}: it was written after the scan")]);
        assert_eq!(fs::read(disk.below(&data)).unwrap(), b"something else");
    }
}

#[test]
fn an_upload_that_goes_on_stays_and_is_told() {
    let id = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
    for uses_trash in [true, false] {
        let data = format!("{}/data", paths::upload("a", id));
        let (disk, done) =
            act_after(|root| fs::write(root.join(&data), "more bytes").unwrap(), uses_trash);
        assert_eq!(
            reasons(&done),
            [format!("upload {id} in a: the upload is still receiving data")]
        );
        assert!(disk.below(&data).is_file());
    }
}

#[test]
fn without_trash_what_was_written_since_the_scan_stays_or_is_told() {
    let (disk, done) = act_after(
        |root| {
            push_image(root, "a", "old", &[("base", 900), ("own", 800)]);
            push_image(root, "new/app", "1.0", &[("left", 700)]);
        },
        false,
    );
    let after = pulls(&disk.root());
    for at in [("a", "old"), ("new/app", "1.0")] {
        let got = &after[&(at.0.into(), at.1.into())];
        assert!(got.values().all(|is_there| *is_there), "{at:?}: {got:?}");
    }
    assert!(!done.skipped.is_empty());

    // Its layer's link went before the new image was found: nothing can bring it back.
    let (_, done) =
        act_after(|root| push_image(root, "a", "fresh", &[("base", 900), ("left", 700)]), false);
    assert!(reasons(&done).iter().any(|reason| reason.contains("push again")), "{done:?}");
}
