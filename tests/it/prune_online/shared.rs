//! What two runs in the trash share, and runs that were killed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use regsql::sample::{Descriptor, RegistryBuilder, media_types, paths};

use super::{Bench, GARBAGE, OFFLINE};
use crate::tree::Tree;

/// Runs in the trash of a bench's storage, oldest first.
fn runs(bench: &Bench) -> Vec<String> {
    let list = bench.done(&["trash", "list", "-f", "csv"]);
    list.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

fn delete_tags(bench: &Bench, which: &str) {
    let query = format!("SELECT repository, tag FROM tags WHERE {which}");
    let arguments = ["prune", "--sql", &query, "--garbage", "--min-age", "0s"];
    bench.ends(0, &[&arguments[..], &["--max-delete-percent", "100"], OFFLINE].concat());
}

/// Two runs: the first takes an image, the second all others, and the layer that all have.
fn two_runs() -> (Bench, Tree, [String; 2]) {
    let bench = Bench::of_sample();
    bench.prune(0, &[]);
    bench.done(&["trash", "purge", "--yes"]);
    let before = bench.tree();
    delete_tags(&bench, "tag IN ('1.0', 'stable')");
    delete_tags(&bench, "true");
    let runs = runs(&bench).try_into().unwrap();
    (bench, before, runs)
}

fn done_file(bench: &Bench, run: &str) -> PathBuf {
    bench.root().join(".regsql/trash").join(run).join("done.json")
}

#[test]
fn undo_of_one_run_names_what_it_lacks_and_which_run_has_it() {
    let (bench, before, [first, second]) = two_runs();
    let text = bench.ends(1, &["undo", &first]);
    let line = format!("is needed, and lies in the trash of run {second}");
    assert!(text.contains(&line), "{text}");
    assert!(text.contains(&format!("`regsql undo {second}` puts it back")), "{text}");
    bench.ends(0, &["undo", &second]);
    before.assert_same(&bench.tree(), "after both undos");
}

#[test]
fn undo_of_the_later_run_alone_lacks_nothing() {
    let (bench, before, [first, second]) = two_runs();
    bench.ends(0, &["undo", &second]);
    bench.ends(0, &["undo", &first]);
    before.assert_same(&bench.tree(), "after both undos");
}

#[test]
fn a_run_that_was_stopped_keeps_later_runs_from_a_purge() {
    let (bench, before, [first, second]) = two_runs();
    fs::remove_file(done_file(&bench, &first)).unwrap();
    bench.ends(0, &["scan", "registry"]);
    let metrics = bench.ends(0, &["metrics"]);
    assert!(metrics.contains("regsql_trash_runs 2\n"), "{metrics}");
    assert!(metrics.contains("regsql_trash_unfinished_runs 1\n"), "{metrics}");
    for arguments in [&["trash", "purge", "--yes", "--dry-run"][..], &["trash", "purge", "--yes"]] {
        let text = bench.ends(1, arguments);
        assert!(text.contains(&format!("run {first} was stopped before its end")), "{text}");
        assert!(text.contains(&format!("run {second} stays")), "{text}");
        assert!(text.contains("free 0 B") || text.contains("freed 0 B"), "{text}");
    }
    bench.ends(1, &["undo", &first]);
    bench.ends(0, &["undo", &second]);
    before.assert_same(&bench.tree(), "after both undos");
}

#[test]
fn a_run_that_was_stopped_keeps_no_earlier_ones() {
    let (bench, _, [first, second]) = two_runs();
    fs::remove_file(done_file(&bench, &second)).unwrap();
    bench.ends(1, &["trash", "purge", "--yes"]);
    assert_eq!(runs(&bench), [second]);
    assert!(!bench.root().join(".regsql/trash").join(first).exists());
    bench.ends(0, &["trash", "purge", "--yes", "--unfinished"]);
    assert_eq!(runs(&bench), [""; 0]);
}

#[test]
fn a_run_that_was_stopped_is_put_back_and_taken_again_by_the_next_prune() {
    let bench = Bench::of_sample();
    bench.prune(0, &[]);
    let [run] = runs(&bench).try_into().unwrap();
    fs::remove_file(done_file(&bench, &run)).unwrap();
    bench.ends(1, &["trash", "purge", "--yes"]);
    let text = bench.ends(0, &[GARBAGE, OFFLINE].concat());
    assert!(text.contains("was stopped before its end: "), "{text}");
    let [run] = runs(&bench).try_into().unwrap();
    let list = bench.done(&["trash", "list", "-f", "csv"]);
    assert!(list.contains(&format!("{run},")) && list.contains(",finished,"), "{list}");
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert_eq!(runs(&bench), [""; 0]);
}

#[test]
fn a_run_that_was_stopped_before_it_took_anything_goes_with_the_others() {
    let bench = Bench::of_sample();
    bench.prune(0, &[]);
    let [run] = runs(&bench).try_into().unwrap();
    fs::remove_file(done_file(&bench, &run)).unwrap();
    fs::remove_dir_all(done_file(&bench, &run).with_file_name("files")).unwrap();
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert_eq!(runs(&bench), [""; 0]);
}

/// Two runs: the first takes `v1`, the second `v2` and the layer that both name by its sha512.
/// Gives the path of that layer's link, too.
fn two_runs_that_share_an_alias() -> (Bench, Tree, [String; 2], String) {
    let mut registry = RegistryBuilder::new();
    let shared = registry.layer("named by its sha512", 2_000);
    let alias = registry.sha512_alias("app", &shared);
    registry.link_layer("app", &shared.digest);
    for tag in ["v1", "v2", "stays"] {
        let own = registry.layer(tag, 700);
        let layers = if tag == "stays" { vec![&own] } else { vec![&alias, &own] };
        registry.image("app").oci().layers(layers).push_tag(tag);
    }
    let bench = Bench::of_registry(&registry);
    let before = bench.tree();
    for tag in ["v1", "v2"] {
        delete_tags(&bench, &format!("tag = '{tag}'"));
    }
    assert!(!bench.root().join(paths::blob(&shared.digest)).exists());
    let runs = runs(&bench).try_into().unwrap();
    (bench, before, runs, paths::layer_link("app", &alias.digest))
}

#[test]
fn a_purge_keeps_a_layer_that_an_image_names_by_its_sha512() {
    let (bench, before, [first, second], _) = two_runs_that_share_an_alias();
    bench.ends(1, &["undo", &first]);
    let text = bench.ends(1, &["trash", "purge", "--yes"]);
    // While the link by that name is away, anything that the repository linked may be meant: all of
    // the run but the tag stays.
    assert_eq!(text.matches("it is needed again").count(), 9, "{text}");
    assert!(text.contains("/blobs/sha256/"), "{text}");
    bench.ends(1, &["undo", &second]);
    let after = bench.tree();
    let is_there = |path: &&PathBuf| after.nodes.contains_key(*path);
    let lost: Vec<_> = before.nodes.keys().filter(|path| !is_there(path)).collect();
    // The tag was purged.
    assert!(lost.iter().all(|path| path.to_str().unwrap().contains("/tags/v2")), "{lost:?}");
    bench.ends(0, &["scan", "registry"]);
    assert_eq!(
        bench.done(&["sql", "-f", "csv", "SELECT code FROM problems WHERE severity = 'error'"]),
        "code\n"
    );
}

#[test]
fn the_next_prune_puts_back_a_layer_that_an_image_names_by_its_sha512() {
    let (bench, _, [first, second], _) = two_runs_that_share_an_alias();
    bench.ends(1, &["undo", &first]);
    fs::remove_file(done_file(&bench, &second)).unwrap();
    let text = bench.ends(0, &[GARBAGE, OFFLINE].concat());
    assert!(text.contains(" things were put back"), "{text}");
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert_eq!(
        bench.done(&["sql", "-f", "csv", "SELECT code FROM problems WHERE severity = 'error'"]),
        "code\n"
    );
}

#[test]
fn an_alias_in_the_trash_that_nobody_can_read_keeps_every_blob_there() {
    let (bench, _, [first, second], link) = two_runs_that_share_an_alias();
    bench.ends(1, &["undo", &first]);
    fs::write(taken(&bench, &second, &link), "").unwrap();
    let text = bench.ends(1, &["trash", "purge", "--yes"]);
    let kept = text.lines().filter(|line| line.contains("needed again"));
    // The shared layer, and what `v2` had of its own: manifest, config and layer.
    assert_eq!(kept.filter(|line| line.contains("/blobs/")).count(), 4, "{text}");
}

#[test]
fn a_purge_removes_nothing_while_a_list_cannot_be_read() {
    let (bench, before, [first, second]) = two_runs();
    let list = done_file(&bench, &first).with_file_name("moves.jsonl");
    let aside = bench.path("aside");
    fs::rename(&list, &aside).unwrap();
    // A link is not followed: the list is there and cannot be read.
    std::os::unix::fs::symlink(&aside, &list).unwrap();
    for arguments in [&["trash", "purge", "--yes", "--dry-run"][..], &["trash", "purge", "--yes"]] {
        let text = bench.ends(2, arguments);
        let path = format!("trash/{first}/moves.jsonl`");
        assert!(text.contains("cannot read `") && text.contains(&path), "{text}");
    }
    fs::remove_file(&list).unwrap();
    fs::rename(&aside, &list).unwrap();
    bench.ends(0, &["undo", &second]);
    bench.ends(0, &["undo", &first]);
    before.assert_same(&bench.tree(), "after both undos");
}

/// A run that took an index, its child and all that is theirs; then an index of that index is
/// pushed by someone who had looked before. Gives the run and the child.
fn late_index(child_type: &str) -> (Bench, String, Descriptor) {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("of the child", 2_000);
    let child = registry.image("app").oci().layers([&layer]).push().of_type(child_type);
    let index = registry.index("app").children([&child]).push_tag("1.0");
    let other = registry.layer("of another", 1_000);
    registry.image("app").oci().layers([&other]).push_tag("stays");
    let bench = Bench::of_registry(&registry);
    delete_tags(&bench, "tag = '1.0'");
    let mut pushed = RegistryBuilder::new();
    let index = index.of_type(media_types::OCI_INDEX);
    pushed.index("app").children([&index]).push_tag("late");
    pushed.write_to(&bench.root()).unwrap();
    let [run] = runs(&bench).try_into().unwrap();
    (bench, run, child)
}

/// The index, its child, a config and a layer: of each the link and the data.
const LATE_NEEDS: usize = 8;

#[test]
fn a_purge_keeps_all_that_a_manifest_may_name_which_nobody_can_read() {
    let (bench, run, child) = late_index(media_types::OCI_MANIFEST);
    let manifest = taken(&bench, &run, &paths::blob(&child.digest));
    for wrong in ["", "{\"layers\": [", "{\"schemaVersion\": 2, \"config\": {}}"] {
        fs::write(&manifest, wrong).unwrap();
        let text = bench.ends(1, &["trash", "purge", "--yes", "--dry-run"]);
        assert_eq!(text.matches("it is needed again").count(), LATE_NEEDS, "{wrong}: {text}");
    }
}

#[test]
fn a_purge_follows_an_index_that_calls_its_child_a_layer() {
    let (bench, _, _) = late_index(media_types::OCI_LAYER);
    let text = bench.ends(1, &["trash", "purge", "--yes"]);
    assert_eq!(text.matches("it is needed again").count(), LATE_NEEDS, "{text}");
}

/// Of two indices in the trash one says that its child is a manifest, which nobody can read now, and one says
/// that it is a layer. Whichever is followed first, it may need whatever its repository had.
#[test]
fn a_purge_keeps_what_is_a_manifest_to_one_index_and_a_layer_to_another() {
    let (mut registry, mut pushed) = (RegistryBuilder::new(), RegistryBuilder::new());
    let (mut children, mut kept) = (Vec::new(), Vec::new());
    for number in 0..2 {
        let (app, other) = (format!("app{number}"), format!("other{number}"));
        let child = registry.image(&app).oci().label("of", &app).push();
        let indices = [("1.0", media_types::OCI_LAYER), ("1.1", media_types::OCI_MANIFEST)];
        let mut indices = indices.map(|(tag, child_type)| {
            let child = child.clone().of_type(child_type);
            registry.index(&app).children([&child]).push_tag(tag).of_type(media_types::OCI_INDEX)
        });
        indices.rotate_left(number);
        let layer = registry.layer(&format!("had by {other}"), 2_000);
        registry.image(&other).layers([&layer]).push_tag("1.0");
        pushed.index(&other).children(&indices).push_tag("late");
        children.push(child);
        kept.push(layer);
    }
    registry.image("another").push_tag("stays");
    let bench = Bench::of_registry(&registry);
    delete_tags(&bench, "tag <> 'stays'");
    pushed.write_to(&bench.root()).unwrap();
    let [run] = runs(&bench).try_into().unwrap();
    for child in &children {
        fs::write(taken(&bench, &run, &paths::blob(&child.digest)), "").unwrap();
    }
    bench.ends(1, &["trash", "purge", "--yes"]);
    for layer in &kept {
        assert!(taken(&bench, &run, &paths::blob(&layer.digest)).exists(), "{layer:?}");
    }
}

/// Makes a run say that it began at another time: the machine's clock was wrong then. Gives its name.
fn began_at(bench: &Bench, run: &str, time: &str) -> String {
    let trash = bench.root().join(".regsql/trash");
    let name = time.replace(['-', ':'], "");
    let list = trash.join(run).join("moves.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let mut header: serde_json::Value = serde_json::from_str(header).unwrap();
    header["run"] = name.as_str().into();
    header["started_at"] = time.into();
    fs::write(&list, format!("{header}\n{rest}")).unwrap();
    fs::rename(trash.join(run), trash.join(&name)).unwrap();
    name
}

#[test]
fn a_clock_that_was_ahead_does_not_let_a_purge_take_what_an_earlier_run_needs() {
    let (bench, before, [first, second]) = two_runs();
    // The clock was ahead when the first began; it was right again at the second, long ago.
    let first = began_at(&bench, &first, "2099-01-01T00:00:00Z");
    let second = began_at(&bench, &second, "2026-01-01T00:00:00Z");
    assert_eq!(runs(&bench), [first.as_str(), second.as_str()], "in the order of the runs");
    let listed = bench.ends(0, &["trash", "list"]);
    assert!(listed.contains("2099-01-01T00:00:00Z, which is in the future"), "{listed}");
    let text = bench.ends(1, &["trash", "purge", "--yes", "--older-than", "7d"]);
    assert!(text.contains(&format!("run {second} stays")), "{text}");
    assert!(text.contains("which is in the future: a clock was ahead"), "{text}");
    let text = bench.ends(0, &["undo"]);
    assert!(text.contains(&format!("of run {second}")), "the last run is undone first: {text}");
    bench.ends(0, &["undo"]);
    before.assert_same(&bench.tree(), "after both undos");
}

#[test]
fn a_run_that_does_not_say_when_it_began_keeps_all_others() {
    let (bench, before, [first, second]) = two_runs();
    let list = done_file(&bench, &first).with_file_name("moves.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, &text[10..]).unwrap();
    let purged = bench.ends(1, &["trash", "purge", "--yes"]);
    assert!(purged.contains(&format!("run {second} stays")), "{purged}");
    fs::write(&list, text).unwrap();
    bench.ends(0, &["undo", &second]);
    bench.ends(0, &["undo", &first]);
    before.assert_same(&bench.tree(), "after both undos");
}

#[test]
fn undo_looks_at_tags_that_an_undo_before_it_put_back() {
    let (bench, _, [first, second]) = two_runs();
    let run = |name: &str| bench.root().join(".regsql/trash").join(name);
    fs::remove_dir_all(run(&second)).unwrap();
    let aside = bench.root().with_file_name("aside");
    let copied = Command::new("cp").arg("-a").args([&run(&first), &aside]).status();
    assert!(copied.unwrap().success());
    for time in ["the first time", "and as if that had been stopped at its end"] {
        let text = bench.ends(1, &["undo", &first]);
        assert!(text.contains("team/app:1.0 is back and cannot be pulled"), "{time}: {text}");
        if aside.exists() {
            fs::rename(&aside, run(&first)).unwrap();
        }
    }
}

#[test]
fn undo_says_which_tags_are_back_and_cannot_be_pulled() {
    let (bench, _, [first, second]) = two_runs();
    fs::remove_dir_all(bench.root().join(".regsql/trash").join(second)).unwrap();
    let text = bench.ends(1, &["undo", &first]);
    for tag in ["1.0", "stable"] {
        let line = format!("team/app:{tag} is back and cannot be pulled: layer is missing sha256:");
        assert!(text.contains(&line), "{text}");
    }
}

/// Where something lies that a run took.
fn taken(bench: &Bench, run: &str, path: &str) -> PathBuf {
    let storage = regsql::storage::locate(&bench.root()).unwrap();
    let storage = regsql::storage::FilesystemStorage::open(storage).unwrap();
    bench.root().join(regsql::trash::place_in_trash(&storage, run, path.as_ref()).unwrap())
}
