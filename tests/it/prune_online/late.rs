//! What is written while a run waits, or after it was killed, brings back what it needs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use regsql::model::Digest;
use regsql::sample::paths;

use super::modes::registry_with_garbage;
use super::{Bench, GARBAGE, writers};
use crate::env::shown;
use crate::real::layout::{Image, layer};
use crate::real::pushes;
use crate::real::registry::Registry;

/// Prunes beside a registry without a cache, and calls `at` with 1 when references have gone and
/// with 2 when blobs have.
fn prune_with(bench: &Bench, more: &[&str], mut at: impl FnMut(usize)) -> String {
    let online = ["--online", "--cache-off", "--wait", "700ms", "--delete", "--yes"];
    let mut command = bench.command(&[GARBAGE, &online, more].concat());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut count = 0;
    let mut told = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("waiting") {
            count += 1;
            at(count);
        }
        told.push_str(&line);
        told.push('\n');
    }
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{told}{}", shown(&output));
    assert_eq!(count, 2, "{told}");
    told + &shown(&output)
}

fn old_image() -> Image {
    Image::of(&[&layer("base", 10_000), &layer("old", 5_000)])
}

fn assert_whole(registry: &Registry, reference: &str) {
    let wrongs = writers::wrongs(registry, "team/app", reference, &old_image());
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_push_of_what_is_going_is_whole_whenever_it_comes() {
    for moment in [1, 2] {
        let registry = registry_with_garbage(str::to_owned);
        let bench = Bench::of(&registry.root());
        prune_with(&bench, &[], |at| {
            if at == moment {
                pushes::put(&registry, "team/app", "again", &old_image());
            }
        });
        assert_whole(&registry, "again");
    }
}

#[test]
fn a_push_that_had_looked_before_and_writes_its_links_late_gets_back_what_it_needs() {
    // What a registry writes whose check of the manifest was done before the links went.
    let image = old_image();
    let digest = Digest::parse(&image.digest()).unwrap();
    for moment in [1, 2] {
        let registry = registry_with_garbage(str::to_owned);
        let bench = Bench::of(&registry.root());
        let text = prune_with(&bench, &[], |at| {
            if at == moment {
                let root = registry.root();
                write(&root, &paths::revision_link("team/app", &digest), &image.digest());
                write(&root, &paths::tag_current("team/app", "late"), &image.digest());
            }
        });
        assert!(text.contains("Put back "), "{text}");
        assert_whole(&registry, "late");
    }
}

#[test]
fn beside_pushes_nothing_is_gone_for_good_before_the_last_look() {
    let image = old_image();
    let layer = Digest::of(&image.blobs[2]);
    let registry = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    let text = prune_with(&bench, &["--no-trash"], |at| {
        if at == 2 {
            let link = paths::layer_link("other/repo", &layer);
            write(&registry.root(), &link, &layer.to_string());
        }
    });
    assert!(text.contains("Put back one thing") && text.contains("Freed "), "{text}");
    assert_eq!(registry.ask("GET", &format!("/v2/other/repo/blobs/{layer}")).status, 200);
    let runs = fs::read_dir(registry.root().join(".regsql/trash")).unwrap();
    assert_eq!(runs.count(), 0);
}

#[test]
fn a_commit_that_saw_the_old_data_gets_it_back() {
    let image = old_image();
    let layer = Digest::of(&image.blobs[2]);
    let registry = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    let text = prune_with(&bench, &[], |at| {
        if at == 2 {
            let link = paths::layer_link("other/repo", &layer);
            write(&registry.root(), &link, &layer.to_string());
        }
    });
    assert!(text.contains("Put back one thing"), "{text}");
    let answer = registry.ask("GET", &format!("/v2/other/repo/blobs/{layer}"));
    assert_eq!((answer.status, answer.body.len()), (200, image.blobs[2].len()));
}

/// A registry whose garbage went, in a run that may have been killed before it looked again; then a
/// push that had looked before writes its tag.
fn late_push(is_killed: bool) -> (Registry, Bench, String) {
    let registry = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    let runs = fs::read_dir(registry.root().join(".regsql/trash")).unwrap();
    let directory: PathBuf = runs.map(|entry| entry.unwrap().path()).next().unwrap();
    if is_killed {
        fs::remove_file(directory.join("done.json")).unwrap();
    }
    let image = old_image();
    let digest = Digest::parse(&image.digest()).unwrap();
    let root = registry.root();
    write(&root, &paths::revision_link("team/app", &digest), &image.digest());
    write(&root, &paths::tag_current("team/app", "late"), &image.digest());
    let run = directory.file_name().unwrap().to_str().unwrap().to_owned();
    (registry, bench, run)
}

#[test]
fn the_next_run_puts_back_what_a_killed_one_took() {
    let (registry, bench, run) = late_push(true);
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/late").status, 404);
    let text = bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    let told = format!("run {run} was stopped before its end: ");
    assert!(text.contains(&told) && text.contains(" things were put back"), "{text}");
    assert_whole(&registry, "late");
}

#[test]
fn a_purge_keeps_what_something_needs_again() {
    let (registry, bench, run) = late_push(false);
    let purge = ["trash", "purge", "--yes"];
    let text = bench.ends(1, &[&purge[..], &["--dry-run"]].concat());
    assert!(text.contains("stays in the trash: it is needed again"), "{text}");
    let text = bench.ends(1, &purge);
    assert_eq!(text.matches("stays in the trash: it is needed again").count(), 5, "{text}");
    // Another database, and none: the storage itself is looked at.
    let text = bench.ends(
        1,
        &[&purge[..], &["--db", "none.db", "--storage", registry.root().to_str().unwrap()]]
            .concat(),
    );
    assert!(text.contains("stays in the trash"), "{text}");
    assert!(!bench.path("none.db").exists());
    bench.done(&["undo", &run]);
    assert_whole(&registry, "late");
    // Nothing is left that could be needed.
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    bench.ends(0, &["trash", "purge", "--yes", "--unfinished"]);
    assert_whole(&registry, "late");
}

#[test]
fn a_purge_follows_an_index_whose_manifests_lie_in_the_trash() {
    let registry = Registry::start();
    let child = Image::of(&[&layer("child", 3_000)]);
    let index = Image::index(vec![child]);
    pushes::put(&registry, "team/app", "1.0", &index);
    pushes::put(&registry, "team/app", "1.0", &old_image());
    let bench = Bench::of(&registry.root());
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    let digest = Digest::parse(&index.digest()).unwrap();
    write(&registry.root(), &paths::revision_link("team/app", &digest), &index.digest());
    write(&registry.root(), &paths::tag_current("team/app", "late"), &index.digest());
    bench.ends(1, &["trash", "purge", "--yes"]);
    bench.done(&["undo"]);
    let wrongs = writers::wrongs(&registry, "team/app", "late", &index);
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}
