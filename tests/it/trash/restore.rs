//! Taking and putting back.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use regsql::model::Digest;
use regsql::sample::paths;
use regsql::storage::faulty::{Fault, FaultyStorage};
use regsql::trash::{
    Move, MoveKind, PurgeOptions, PutBack, RemovedDirectory, StorageLock, TrashError, TrashRun,
    purge, undo,
};

use super::{Registry, UPLOAD, delete, item, now, open, parent};
use crate::tree::{Node, Tree};

#[test]
fn undo_restores_every_path_byte_and_time() {
    let registry = Registry::new();
    let before = registry.tree();
    let run = registry.delete();
    assert_eq!(run, "20261121T070746Z");
    for item in &registry.moves {
        assert!(!registry.below(&item.path).exists(), "{} is still there", item.path.display());
    }
    let report = registry.undo(&run);
    before.assert_same(&registry.tree(), "after undo");
    assert!(report.is_whole() && report.is_removed, "{report:?}");
    assert_eq!(report.restored.total(), registry.moves.len() as u64);
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn the_list_is_on_disk_before_anything_moves_and_says_what_where() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let before = registry.tree();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    before.assert_same(&registry.tree(), "after begin");
    let list = fs::read_to_string(registry.run_directory(run.run()).join("moves.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The repository has a line of its own.
    assert_eq!(lines.len(), registry.moves.len() + 2);
    assert_eq!(lines[0]["schema"], 2);
    assert_eq!(lines[0]["started_at"], "2026-11-21T07:07:46Z");
    assert_eq!(lines[0]["counts"]["blobs"], 2);
    assert_eq!(lines[1], serde_json::json!(["in", "team/app"]));
    assert_eq!(lines[2], serde_json::json!(["tag", "1.0"]));
}

#[test]
fn runs_of_one_second_have_names_of_their_own_and_sort() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let names: Vec<String> = (0..3)
        .map(|_| TrashRun::begin(&storage, &lock, now(), &[]).unwrap().run().to_owned())
        .collect();
    assert_eq!(names, ["20261121T070746Z", "20261121T070746Z-02", "20261121T070746Z-03"]);
    assert!(names.is_sorted());
}

#[test]
fn what_is_not_in_the_list_is_not_taken() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves[1..]).unwrap();
    let tag = registry.path(MoveKind::Tag);
    assert_eq!(run.take(tag).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(run.remove_empty_directory(tag).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(registry.below(tag).exists());
}

#[test]
fn what_must_not_or_cannot_be_listed_is_refused_before_anything_moves() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let before = registry.tree();
    let refusal = |moves: &[Move]| {
        TrashRun::begin(&storage, &lock, now(), moves).map(|run| run.run().to_owned()).unwrap_err()
    };
    for path in ["docker/registry/v2/blobs", "docker/registry/v2/repositories/../x", "/etc", ""] {
        let refused = refusal(&[item(MoveKind::Blob, path, "x", 0)]);
        assert!(matches!(refused, TrashError::Outside(_)), "{path}: {refused}");
    }
    let tag = paths::tag("team/app", "1.0");
    let within = item(MoveKind::Tag, format!("{tag}/current"), "1.0", 0);
    let outer = item(MoveKind::Tag, &tag, "1.0", 0);
    for moves in [[within, outer.clone()], [outer.clone(), outer]] {
        assert!(matches!(refusal(&moves), TrashError::Overlap { .. }));
    }
    before.assert_same(&registry.tree(), "after refusals");
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn a_file_for_a_directory_or_a_directory_for_a_file_of_a_tag_is_in_its_way() {
    for (path, is_file) in [("1.0", true), ("1.0/current", true), ("1.0/current/link", false)] {
        let registry = Registry::new();
        let run = registry.delete();
        let tag = registry.moves[0].clone();
        let odd = registry.below(tag.path.with_file_name(path));
        if is_file {
            fs::create_dir_all(odd.parent().unwrap()).unwrap();
            fs::write(&odd, "").unwrap();
        } else {
            fs::create_dir_all(&odd).unwrap();
        }
        let report = registry.undo(&run);
        assert_eq!(report.conflicts, [tag], "{path}: {:?}", report.failures);
        assert_eq!(odd.is_file(), is_file, "{path}");
    }
}

#[test]
fn a_tag_that_was_pushed_again_stays_and_so_does_the_old_one_in_the_trash() {
    let registry = Registry::new();
    let run = registry.delete();
    let other = Digest::of(b"another image");
    let mut again = regsql::sample::RegistryBuilder::new();
    again.tag("team/app", "1.0", &other);
    again.write_to(&registry.root()).unwrap();
    let pushed = Tree::of(&registry.below(paths::tag("team/app", "1.0")));

    let report = registry.undo(&run);
    let tag = registry.moves[0].clone();
    assert_eq!(report.conflicts, std::slice::from_ref(&tag));
    assert!(!report.is_whole() && !report.is_removed);
    // The rest is back.
    assert_eq!(report.restored.total(), registry.moves.len() as u64 - 1);
    let now_there = Tree::of(&registry.below(&tag.path));
    pushed.assert_same(&now_there, "the tag that was pushed");
    let kept = registry.taken(&run, &tag.path);
    assert!(kept.join("current/link").is_file());

    // When the place is free again, the next undo ends it.
    fs::remove_dir_all(registry.below(&tag.path)).unwrap();
    assert!(registry.undo(&run).is_removed);
    assert!(registry.below(&tag.path).join("current/link").is_file());
}

#[test]
fn a_blob_that_was_uploaded_again_stays_as_it_is() {
    let registry = Registry::new();
    let run = registry.delete();
    let blob = registry.path(MoveKind::Blob);
    fs::create_dir_all(registry.below(blob)).unwrap();
    fs::write(registry.below(blob).join("data"), "uploaded again").unwrap();
    let report = registry.undo(&run);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(report.conflicts[0].path, blob);
    assert_eq!(fs::read(registry.below(blob).join("data")).unwrap(), b"uploaded again");
    assert!(registry.taken(&run, blob).join("data").is_file());
}

#[test]
fn what_was_pushed_again_as_it_was_is_in_its_place() {
    let registry = Registry::new();
    let run = registry.delete();
    // A push writes the same bytes, later.
    for item in &registry.moves {
        if !matches!(item.kind, MoveKind::Upload | MoveKind::Directory) {
            copy_tree(&registry.taken(&run, &item.path), &registry.below(&item.path));
        }
    }
    let pushed = registry.tree();
    let report = registry.undo(&run);
    assert!(report.is_whole() && report.is_removed, "{report:?}");
    assert_eq!((report.in_place_count, report.restored.total()), (5, 2));
    let after = registry.tree();
    for (path, node) in pushed.nodes.iter().filter(|(_, node)| !node.is_directory()) {
        assert_eq!(after.nodes.get(path), Some(node), "{}", path.display());
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::write(to, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_tag_that_was_pushed_again_as_it_was_with_a_shorter_past_keeps_the_old_one() {
    let registry = Registry::new();
    let other = Digest::of(b"an image before");
    let tag = registry.path(MoveKind::Tag).to_owned();
    let entry = paths::tag_index("team/app", "1.0", &other);
    fs::create_dir_all(registry.below(parent(&entry))).unwrap();
    fs::write(registry.below(&entry), other.to_string()).unwrap();
    let run = registry.delete();
    let taken = registry.taken(&run, &tag);
    copy_tree(&taken.join("current"), &registry.below(&tag).join("current"));
    let report = registry.undo(&run);
    assert_eq!(report.conflicts.len(), 1);
    assert!(taken.join("current/link").is_file());
}

#[test]
fn a_file_where_the_repository_was_is_not_replaced() {
    let registry = Registry::new();
    let run = registry.delete();
    let repository = registry.below(paths::repository("team/app"));
    let elsewhere = registry.directory.path().join("elsewhere");
    fs::rename(&repository, &elsewhere).unwrap();
    fs::write(&repository, "").unwrap();
    let report = registry.undo(&run);
    // The directory of uploads, the upload and the link; the revision and the tag were not tried.
    assert_eq!((report.failures.len(), report.held_back_count), (3, 2));
    assert_eq!(report.restored.blobs, 2);
    fs::remove_file(&repository).unwrap();
    fs::rename(&elsewhere, &repository).unwrap();
    assert!(registry.undo(&run).is_removed);
}

#[test]
fn a_repository_that_is_gone_as_a_whole_comes_back_with_what_was_taken() {
    let registry = Registry::new();
    let run = registry.delete();
    fs::remove_dir_all(registry.below(paths::repository("team"))).unwrap();
    assert!(registry.undo(&run).is_removed);
    assert!(registry.below(paths::tag_current("team/app", "1.0")).is_file());
}

#[test]
fn the_empty_directory_that_an_api_delete_leaves_makes_way() {
    let registry = Registry::new();
    let before = registry.tree();
    let run = registry.delete();
    fs::create_dir_all(registry.below(registry.path(MoveKind::Revision))).unwrap();
    let report = registry.undo(&run);
    assert!(report.is_removed, "{report:?}");
    before.assert_same(&registry.tree(), "after undo");
}

#[test]
fn what_a_killed_writer_left_in_a_directory_is_not_in_the_way() {
    // Version 3.1 writes `data.<uuid>.tmp` beside `data`.
    for kind in [MoveKind::Blob, MoveKind::LayerLink, MoveKind::Revision] {
        let registry = Registry::new();
        let before = registry.tree();
        let run = registry.delete();
        let directory = registry.below(registry.path(kind));
        let unfinished = directory.join("data.6f1f2a94-3b40-4b5e-9d57-0d5c4a3e0b11.tmp");
        fs::create_dir_all(&directory).unwrap();
        fs::write(&unfinished, "half").unwrap();
        let report = registry.undo(&run);
        assert!(report.is_whole() && report.is_removed, "{kind:?}: {report:?}");
        fs::remove_file(unfinished).expect("it may be a write under way");
        before.assert_same(&registry.tree(), "after undo");
    }
}

/// What a writer of version 3.1 that was killed leaves of a tag that is gone.
fn half_a_tag(registry: &Registry) -> PathBuf {
    let current = registry.below(registry.path(MoveKind::Tag)).join("current");
    fs::create_dir_all(&current).unwrap();
    let unfinished = current.join("link.6f1f2a94-3b40-4b5e-9d57-0d5c4a3e0b11.tmp");
    fs::write(&unfinished, "sha256:").unwrap();
    unfinished
}

#[test]
fn a_tag_comes_back_beside_what_a_killed_writer_left_of_it_whenever_the_undo_is_killed() {
    for call in 0.. {
        let registry = Registry::new();
        let before = registry.tree();
        let run = registry.delete();
        let unfinished = half_a_tag(&registry);
        let storage = FaultyStorage::new(registry.storage(), Fault::From(call));
        let lock = StorageLock::take(&registry.storage()).unwrap();
        let killed = undo(&storage, &lock, &run);
        let was_killed = storage.calls() > call;
        drop(lock);
        if registry.runs().contains(&run) {
            let report = registry.undo(&run);
            assert!(report.is_whole() && report.is_removed, "killed at {call}: {report:?}");
        }
        if !was_killed {
            assert!(killed.unwrap().is_whole() && call > 10);
        }
        fs::remove_file(unfinished).expect("it may be a write under way");
        before.assert_same(&registry.tree(), &format!("killed at {call}"));
        if !was_killed {
            return;
        }
    }
}

#[test]
fn a_tag_that_is_being_pushed_anew_is_never_mixed_with_the_old_one() {
    let registry = Registry::new();
    let run = registry.delete();
    drop(half_a_tag(&registry));
    let path = registry.path(MoveKind::Tag).to_owned();
    let index = registry.taken(&run, &path).join("index/sha256");
    let entry = fs::read_dir(&index).unwrap().next().unwrap().unwrap().file_name();
    // The new one is of the same digest, and its own link is not written yet.
    let new = registry.below(&path).join("index/sha256").join(entry);
    fs::create_dir_all(&new).unwrap();
    fs::write(new.join("link"), "new").unwrap();
    let report = registry.undo(&run);
    assert!(!report.is_whole(), "{report:?}");
    assert_eq!(fs::read(new.join("link")).unwrap(), b"new");
    assert!(!registry.below(&path).join("current/link").exists());
    assert!(registry.taken(&run, &path).join("current/link").exists(), "the trash keeps it");
}

#[test]
fn a_copied_link_comes_back_when_the_registry_deleted_it_and_goes_when_it_did_not() {
    for is_deleted in [true, false] {
        let registry = Registry::new();
        let before = registry.tree();
        let storage = registry.storage();
        let lock = StorageLock::take(&storage).unwrap();
        let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
        let link = registry.path(MoveKind::LayerLink);
        run.copy(link).unwrap();
        before.assert_same(&registry.tree(), "after the copy");
        assert_eq!(run.read_taken(&link.join("link"), 6).unwrap().bytes, b"sha256");
        if is_deleted {
            fs::remove_file(registry.below(link).join("link")).unwrap();
        }
        let report = undo(&storage, &lock, run.run()).unwrap();
        assert!(report.is_removed && report.is_whole(), "{report:?}");
        before.assert_same(&registry.tree(), "after undo");
    }
}

#[test]
fn large_files_are_not_copied() {
    let registry = Registry::new();
    let upload = paths::upload("team/app", UPLOAD);
    fs::write(registry.below(&upload).join("data"), vec![0; (64 << 10) + 1]).unwrap();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    assert_eq!(run.copy(upload.as_ref()).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(run.stat_taken(upload.as_ref()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn something_that_turns_out_to_be_needed_goes_back_at_once() {
    let registry = Registry::new();
    let before = registry.tree();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    let blob = registry.path(MoveKind::Blob);
    assert_eq!(run.put_back(blob).unwrap(), PutBack::NotThere);
    run.take(blob).unwrap();
    assert_eq!(run.take(blob).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(run.stat_taken(&blob.join("data")).unwrap().size_bytes > 0);
    fs::create_dir_all(registry.below(blob)).unwrap();
    fs::write(registry.below(blob).join("data"), "").unwrap();
    assert_eq!(run.put_back(blob).unwrap(), PutBack::PlaceTaken);
    fs::remove_dir_all(registry.below(blob)).unwrap();
    assert_eq!(run.put_back(blob).unwrap(), PutBack::Done);
    before.assert_same(&registry.tree(), "after putting back");
}

#[test]
fn only_empty_directories_are_removed() {
    let registry = Registry::new();
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let run = TrashRun::begin(&storage, &lock, now(), &registry.moves).unwrap();
    let uploads = registry.path(MoveKind::Directory);
    let upload = registry.path(MoveKind::Upload);
    assert_eq!(run.remove_empty_directory(uploads).unwrap(), RemovedDirectory::NotEmpty);
    run.take(upload).unwrap();
    assert_eq!(run.remove_empty_directory(uploads).unwrap(), RemovedDirectory::Done);
    assert_eq!(run.remove_empty_directory(uploads).unwrap(), RemovedDirectory::NotThere);
}

#[test]
fn any_name_on_disk_goes_to_the_trash_and_back() {
    let registry = Registry::new();
    let repositories = PathBuf::from("docker/registry/v2/repositories");
    let long = "n".repeat(255);
    let names: [&[u8]; 5] = [
        b"new\nline",
        b"bad\xff\xfe",
        br"back\slash",
        "\u{202e}\u{1b}[2J".as_bytes(),
        long.as_bytes(),
    ];
    let mut moves = Vec::new();
    for name in names {
        let path = repositories.join(OsStr::from_bytes(name));
        fs::create_dir_all(registry.below(&path).join(OsStr::from_bytes(name))).unwrap();
        fs::write(registry.below(&path).join("link"), name).unwrap();
        moves.push(item(MoveKind::Tag, path, "", 0));
    }
    let before = registry.tree();
    let storage = registry.storage();
    let run = delete(&storage, &moves).unwrap();
    assert!(moves.iter().all(|item| !registry.below(&item.path).exists()));
    assert!(registry.undo(&run).is_removed);
    before.assert_same(&registry.tree(), "after undo");
}

#[test]
fn what_someone_put_into_the_trash_is_named_and_stays() {
    let registry = Registry::new();
    let run = registry.delete();
    let directory = registry.run_directory(&run);
    fs::write(directory.join("files/stray"), "").unwrap();
    let report = registry.undo(&run);
    assert!(report.is_whole() && !report.is_removed);
    assert_eq!(report.leftovers.len(), 1);
    assert!(report.leftovers[0].ends_with("files/stray"), "{report:?}");
    fs::remove_file(directory.join("files/stray")).unwrap();
    fs::write(directory.join("note"), "").unwrap();
    let report = registry.undo(&run);
    assert!(report.leftovers[0].ends_with("note") && !report.is_removed, "{report:?}");
    // The list stays with it.
    assert!(directory.join("moves.jsonl").is_file());
}

#[test]
fn what_failed_holds_back_what_may_need_it() {
    let registry = Registry::new();
    let run = registry.delete();
    // The shard of a blob becomes a link, which is not followed.
    let shard = registry.path(MoveKind::Blob).parent().unwrap();
    let elsewhere = registry.directory.path().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    if registry.below(shard).exists() {
        fs::remove_dir(registry.below(shard)).unwrap();
    }
    std::os::unix::fs::symlink(&elsewhere, registry.below(shard)).unwrap();
    let report = registry.undo(&run);
    assert_eq!((report.failures.len(), report.restored.tags), (1, 0));
    assert!(report.held_back_count > 0, "{report:?}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(registry.below(shard)).unwrap();
    assert!(registry.undo(&run).is_removed);
    assert!(registry.below(paths::tag_current("team/app", "1.0")).is_file());
}

#[test]
fn a_blob_directory_that_is_a_link_moves_as_a_link() {
    let registry = Registry::new();
    let shard = PathBuf::from("docker/registry/v2/blobs/sha256/zz");
    let outside = registry.directory.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, registry.below(&shard)).unwrap();
    let before = registry.tree();
    let run = delete(&registry.storage(), &[item(MoveKind::Blob, &shard, "", 0)]).unwrap();
    assert!(registry.undo(&run).is_removed);
    before.assert_same(&registry.tree(), "after undo");
    assert_eq!(registry.tree().nodes[&shard], Node::Link(outside));
}

#[test]
fn twenty_thousand_moves_are_quick() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let mut moves = Vec::new();
    for number in 0..20_000_u32 {
        let digest = Digest::of(&number.to_le_bytes());
        let blob = paths::blob_directory(&digest);
        fs::create_dir_all(root.join(&blob)).unwrap();
        let file = fs::File::create(root.join(&blob).join("data")).unwrap();
        file.set_modified(modified).unwrap();
        moves.push(item(MoveKind::Blob, blob, &digest.to_string(), 0));
    }
    let storage = open(root);
    let start = Instant::now();
    let run = delete(&storage, &moves).unwrap();
    let taken = start.elapsed();
    let start = Instant::now();
    let report = undo(&storage, &StorageLock::take(&storage).unwrap(), &run).unwrap();
    let restored = start.elapsed();
    assert_eq!(report.restored.blobs, 20_000);
    let mut stderr = std::io::stderr();
    writeln!(stderr, "20,000 moves: taken in {taken:?}, put back in {restored:?}").unwrap();
    assert!(taken + restored < Duration::from_mins(1));
}

/// Turns a run into one as version 0.1 left it: a line with the path for each move, and things under the
/// paths that they had.
fn as_of_the_first_version(registry: &Registry, run: &str) {
    let directory = registry.run_directory(run);
    let (files, flat) = (directory.join("files"), directory.join("flat"));
    let list = fs::read_to_string(directory.join("moves.jsonl")).unwrap();
    fs::rename(&files, &flat).unwrap();
    for (number, item) in registry.moves.iter().enumerate() {
        let taken = flat.join(number.to_string());
        if taken.exists() {
            let place = files.join(&item.path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::rename(taken, place).unwrap();
        }
    }
    fs::remove_dir(flat).unwrap();
    let header = list.lines().next().unwrap().replacen("\"schema\":2", "\"schema\":1", 1);
    let moves = registry.moves.iter().map(|item| serde_json::to_string(item).unwrap());
    let lines: Vec<String> = std::iter::once(header).chain(moves).collect();
    fs::write(directory.join("moves.jsonl"), lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_run_of_the_first_version_is_undone_and_purged_as_ever() {
    let registry = Registry::new();
    let before = registry.tree();
    let run = registry.delete();
    as_of_the_first_version(&registry, &run);
    let report = registry.undo(&run);
    assert!(report.is_whole() && report.is_removed, "{report:?}");
    before.assert_same(&registry.tree(), "after the undo");

    let run = registry.delete();
    as_of_the_first_version(&registry, &run);
    let storage = registry.storage();
    let lock = StorageLock::take(&storage).unwrap();
    let options = PurgeOptions { started_before: jiff::Timestamp::MAX, includes_unfinished: false };
    let report = purge(&storage, &lock, &options, &|_| false).unwrap();
    assert_eq!((report.runs[0].counts.total(), report.runs[0].is_removed), (6, true));
    assert_eq!(registry.runs(), [""; 0]);
}

#[test]
fn the_space_that_was_set_aside_completes_a_run_on_a_disk_that_has_become_full() {
    let registry = Registry::new();
    let before = registry.tree();
    registry.delete();
    registry.undo(&registry.runs()[0]);
    // From the first call of a run on: its directory, its list, each rename, the mark of its end.
    let mut released = 0;
    for call in 0..40 {
        let storage = registry.storage();
        regsql::trash::fill_reserve(&storage);
        assert!(registry.below(".regsql/reserve").is_file());
        let storage = FaultyStorage::new(storage, Fault::Once(call, 28));
        // What the disk refuses besides (the lock, an empty directory) ends it, as ever.
        drop(delete(&storage, &registry.moves));
        released += u32::from(!registry.below(".regsql/reserve").exists());
        for run in registry.runs() {
            assert!(registry.undo(&run).is_removed);
        }
        before.assert_same(&registry.tree(), &format!("after the undo of a run full at {call}"));
    }
    // Six renames, the list, and the mark of the end.
    assert!(released >= 8, "{released} runs used it");
}
