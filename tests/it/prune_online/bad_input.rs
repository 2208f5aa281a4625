//! Queries, plans and lists that make no sense: a clear message, and nothing lost.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Bench, GARBAGE, OFFLINE};
use crate::env::shown;

/// What must be refused as a whole, with nothing touched.
fn refused(bench: &Bench, arguments: &[&str]) -> String {
    let before = bench.tree();
    let text = bench.ends(2, &[&["prune"], arguments, &["--min-age", "0s"], OFFLINE].concat());
    before.assert_same(&bench.tree(), "after the refusal");
    text
}

#[test]
fn columns_that_name_nothing_are_refused_with_the_names_that_do() {
    let bench = Bench::of_sample();
    let text = refused(&bench, &["--sql", "SELECT digest FROM blobs"]);
    assert!(text.contains("the columns of the query do not name what to delete"), "{text}");
    assert!(text.contains("hint: give columns repository and tag"), "{text}");
    let text = refused(&bench, &["--sql", "SELECT repository, digest FROM problems"]);
    assert!(text.contains("do not name what to delete"), "{text}");
    let text = refused(&bench, &["--sql", "DELETE FROM tags"]);
    assert!(text.contains("error: "), "{text}");
    let text = refused(&bench, &["overview"]);
    assert!(text.contains("report `overview` selects nothing to delete"), "{text}");
    let text = refused(&bench, &["--target", "team/app"]);
    assert!(text.contains("`team/app` names no tag, revision or blob"), "{text}");
    let text = refused(&bench, &["--sql", "SELECT digest AS layer_digest FROM layers"]);
    assert!(text.contains("hint: --images-holding-layers"), "{text}");
    let text = refused(&bench, &["--sql", "SELECT repository FROM repositories"]);
    assert!(text.contains("hint: --whole-repositories"), "{text}");
}

#[test]
fn a_tag_and_a_digest_that_disagree_are_skipped_and_told() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    let sql = "SELECT a.repository, a.tag, b.manifest_digest FROM tags a, tags b
               WHERE a.tag = '1.0' AND b.tag = '1.1'";
    let text = bench.ends(1, &[&["prune", "--sql", sql, "--min-age", "0s"], OFFLINE].concat());
    assert!(text.contains("team/app:1.0: the tag points at sha256:"), "{text}");
    assert!(text.contains("the row says sha256:"), "{text}");
    let rows = "SELECT 'team/app' AS repository, 17 AS tag UNION ALL SELECT NULL, 'x'
                UNION ALL SELECT 'nobody', 'latest'";
    let text = bench.ends(1, &[&["prune", "--sql", rows, "--min-age", "0s"], OFFLINE].concat());
    assert!(text.contains("row 1 of the query: a name is missing or not a text"), "{text}");
    assert!(text.contains("nobody:latest: "), "{text}");
    before.assert_same(&bench.tree(), "nothing was right");
}

/// A saved plan for the garbage, changed by a person.
fn edited(bench: &Bench, edit: impl FnOnce(&mut Value)) {
    bench.done(&[GARBAGE, &["--save", "plan.json"]].concat());
    let text = fs::read_to_string(bench.path("plan.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&text).unwrap();
    edit(&mut plan);
    fs::write(bench.path("plan.json"), plan.to_string()).unwrap();
}

#[test]
fn plans_that_are_not_for_this_storage_or_this_version_are_refused() {
    let bench = Bench::of_sample();
    let plan = ["--plan", "plan.json"];
    edited(&bench, |plan| plan["schema"] = json!(2));
    let text = refused(&bench, &plan);
    assert!(text.contains("has schema 2, and this regsql reads schema 1"), "{text}");
    edited(&bench, |plan| plan["root"] = json!("/elsewhere"));
    let text = refused(&bench, &plan);
    assert!(text.contains("was made for `/elsewhere`, and the database is about"), "{text}");
    edited(&bench, |plan| plan["mode"] = json!("deleted"));
    assert!(refused(&bench, &plan).contains("says that it has been carried out"));
    edited(&bench, |plan| plan["items"][0]["path"] = json!("/etc/passwd"));
    let text = refused(&bench, &plan);
    assert!(text.contains("`plan.json` is not a plan"), "{text}");
    assert!(text.contains("unknown field `path`"), "{text}");
    edited(&bench, |plan| plan["items"][0]["kind"] = json!("everything"));
    assert!(refused(&bench, &plan).contains("unknown variant `everything`"));

    bench.done(&[GARBAGE, &["--save", "plan.json"]].concat());
    let whole = fs::read(bench.path("plan.json")).unwrap();
    fs::write(bench.path("plan.json"), &whole[..whole.len() / 2]).unwrap();
    let text = refused(&bench, &plan);
    assert!(text.contains("is not a plan") && text.contains("hint: make a new one"), "{text}");
    fs::write(bench.path("plan.json"), b"\xff\xfe\0").unwrap();
    assert!(refused(&bench, &plan).contains("cannot read plan `plan.json`"));
    // Deep nesting must not take the stack.
    fs::write(bench.path("plan.json"), "[".repeat(1_000_000)).unwrap();
    assert!(refused(&bench, &plan).contains("is not a plan"));
    // Larger than any plan, and sparse.
    fs::File::create(bench.path("plan.json")).unwrap().set_len(5 << 30).unwrap();
    assert!(refused(&bench, &plan).contains("because: file too large"));
    assert!(refused(&bench, &["--garbage", "--protect", "plan.json"]).contains("file too large"));
    assert!(refused(&bench, &["--plan", "none.json"]).contains("cannot read plan `none.json`"));
}

#[test]
fn names_that_climb_out_of_the_storage_lead_nowhere() {
    let bench = Bench::of_sample();
    fs::create_dir_all(bench.path("outside/_manifests/tags/x")).unwrap();
    edited(&bench, |plan| {
        plan["items"] = json!([
            {"kind": "tag", "repository": "../../../../../outside", "tag": "x"},
            {"kind": "tag", "repository": "team/app", "tag": "../../../../../../../outside"},
            {"kind": "upload", "repository": "team/app", "upload_id": "../../.."},
            {"kind": "blob", "blob_digest": "sha256:../../../.."},
            {"kind": "repository", "repository": ".."},
            {"kind": "layer_link", "repository": "team/app", "link_digest": "../.."},
        ]);
    });
    let before = bench.tree();
    let text =
        bench.ends(1, &[&["prune", "--plan", "plan.json", "--min-age", "0s"], OFFLINE].concat());
    before.assert_same(&bench.tree(), "after a hostile plan");
    assert!(bench.path("outside/_manifests/tags/x").exists());
    assert!(text.contains("Stays: 6 not there"), "{text}");
}

#[test]
fn a_plan_of_an_older_scan_is_worked_out_again_and_what_changed_stays() {
    let bench = Bench::of_sample();
    bench.done(&[GARBAGE, &["--save", "plan.json"]].concat());
    let (plan, _) = bench.json(GARBAGE);
    let revision = plan["items"][0].clone();
    assert_eq!(revision["kind"], "revision");
    let digest = revision["manifest_digest"].as_str().unwrap();
    // Someone tags what was untagged, and something new becomes garbage.
    let tag = bench.root().join("docker/registry/v2/repositories/team/app/_manifests/tags/back");
    fs::create_dir_all(tag.join("current")).unwrap();
    fs::write(tag.join("current/link"), digest).unwrap();
    let new = regsql::model::Digest::of(b"new garbage");
    let blob = bench.root().join(regsql::sample::paths::blob(&new));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, b"new garbage").unwrap();

    let arguments = [&["prune", "--plan", "plan.json", "--min-age", "0s"], OFFLINE].concat();
    let output = bench.run(&[&arguments[..], &["-f", "json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["counts"]["revisions"], 0);
    assert_eq!(done["counts"]["blobs"], 1, "the orphan alone: {done:#}");
    assert!(done["skipped"].to_string().contains(digest), "{done:#}");
    assert!(blob.exists(), "nobody has seen it in a plan");
    bench.done(&["why", "team/app:back"]);
}

#[test]
fn a_plan_that_was_saved_with_a_shorter_min_age_says_so_and_the_guard_of_the_run_counts() {
    let bench = Bench::of_sample();
    bench.done(&[GARBAGE, &["--save", "plan.json"]].concat());
    let told = "the plan was saved with --min-age 0s; this run keeps what is younger than 24 h";
    let plan = ["prune", "--plan", "plan.json"];
    let before = bench.tree();
    let text = bench.ends(1, &[&plan[..], OFFLINE].concat());
    assert_eq!(text.matches(told).count(), 1, "{text}");
    before.assert_same(&bench.tree(), "all of it is young");
    // Plans of those that did not write it down are read as before.
    edited(&bench, |plan| drop(plan.as_object_mut().unwrap().remove("min_age_seconds").unwrap()));
    let text = bench.ends(1, &plan);
    assert!(!text.contains("was saved with"), "{text}");
    bench.done(&[GARBAGE, &["--save", "plan.json"]].concat());
    let text = bench.ends(0, &[&plan[..], &["--min-age", "0s"], OFFLINE].concat());
    assert!(!text.contains("was saved with"), "{text}");
}

#[test]
fn what_is_no_tag_stays_with_keep_revisions_and_is_told() {
    let bench = Bench::of_sample();
    let orphan = regsql::model::Digest::of(&[7; 4_000]);
    let (plan, _) = bench.json(GARBAGE);
    let untagged = plan["items"][0]["manifest_digest"].as_str().unwrap();
    let revision = format!("team/app@{untagged}");
    let keep = ["prune", "--keep-revisions", "--min-age", "0s"];
    let before = bench.tree();
    for target in [revision.as_str(), &orphan.to_string()] {
        let text = bench.ends(1, &[&keep[..], &["--target", target]].concat());
        assert!(text.contains(": --keep-revisions deletes tags only"), "{text}");
        assert!(text.contains("Nothing to delete"), "{text}");
    }
    let whole = ["--sql", "SELECT repository FROM repositories", "--whole-repositories"];
    let text = bench.ends(1, &[&keep[..], &whole].concat());
    assert!(text.contains("repository tool/cli: --keep-revisions deletes tags only"), "{text}");
    let layers = ["--sql", "SELECT digest AS layer_digest FROM layers", "--images-holding-layers"];
    let text = bench.ends(1, &[&keep[..], &layers].concat());
    assert!(text.contains(": --keep-revisions deletes tags only"), "{text}");
    for other in ["--garbage", "--corrupt", "--leftovers"] {
        let text = bench.ends(2, &[&keep[..], &[other]].concat());
        assert!(text.contains("cannot be used with"), "{text}");
    }
    before.assert_same(&bench.tree(), "nothing was a tag");

    // What a tag leads to is nothing that anybody asked for, also when a plan lacks it.
    let tag = ["--target", "team/app:1.1", "--save", "plan.json"];
    bench.ends(0, &[&keep[..], &tag].concat());
    let text = bench.ends(0, &[&keep[..], &["--plan", "plan.json"], OFFLINE].concat());
    assert!(text.contains("Deleted 1 tag\n") && !text.contains("Stays: 1"), "{text}");
}

#[test]
fn json_says_after_the_deletion_how_much_of_it_something_else_needs() {
    let bench = Bench::of_sample();
    let target = ["prune", "--target", "team/app:1.1", "--min-age", "0s"];
    let (dry, _) = bench.json(&target);
    assert_eq!(dry["shared_bytes"], 5_000, "{dry:#}");
    let (done, _) = bench.json(&[&target[..], OFFLINE].concat());
    assert_eq!(done["shared_bytes"], dry["shared_bytes"], "{done:#}");
}

#[test]
fn free_saves_a_plan_that_prune_takes() {
    let bench = Bench::of_sample();
    // A little more than comes free without a tag.
    let sql = "SELECT value FROM totals WHERE name = 'reclaimable_bytes'";
    let without_tags = bench.done(&["sql", sql, "-f", "csv"]);
    let without_tags: u64 = without_tags.lines().last().unwrap().parse().unwrap();
    let goal = (without_tags + 1000).to_string();
    let free = ["free", &goal, "--from", "tags", "-f", "json", "--save", "plan.json"];
    let rows: Value = serde_json::from_str(&bench.done(&free)).unwrap();
    let freed = rows.as_array().unwrap().iter().map(|row| row["freed_bytes"].as_u64().unwrap());
    let plan: Value = serde_json::from_slice(&fs::read(bench.path("plan.json")).unwrap()).unwrap();
    assert_eq!(plan["counts"]["tags"].as_u64(), Some(rows.as_array().unwrap().len() as u64));
    assert_eq!(plan["freed_bytes"].as_u64(), Some(without_tags + freed.sum::<u64>()));
    let (dry, _) = bench.json(&["prune", "--plan", "plan.json", "--min-age", "0s"]);
    assert_eq!(dry["items"], plan["items"]);
    let acting = ["prune", "--plan", "plan.json", "--min-age", "0s", "--max-delete-percent", "100"];
    bench.ends(0, &[&acting[..], OFFLINE].concat());
    let tag = plan["items"][0]["tag"].as_str().unwrap();
    let left = bench.done(&["sql", "SELECT tag FROM tags", "-f", "csv"]);
    assert!(!left.lines().any(|line| line == tag), "{left}");
    // What was just pushed is left to another day, unless one says otherwise.
    bench.done(&["undo"]);
    let text = bench.ends(1, &["prune", "--plan", "plan.json", "--max-scan-age", "0s"]);
    assert!(text.contains("younger than --min-age"), "{text}");
}

#[test]
fn garbage_in_a_protect_list_is_an_error_and_not_a_smaller_list() {
    let bench = Bench::of_sample();
    for (list, message) in [
        ("team/app:1.0\n<html>\"error\"</html>", "list:2: `<html>"),
        ("Error from server (Forbidden): pods\n@@", "list:"),
        ("team/app@sha256:123", "list:1: `team/app@sha256:123` is not an image reference"),
    ] {
        fs::write(bench.path("list"), list).unwrap();
        let text = refused(&bench, &["--garbage", "--protect", "list"]);
        assert!(text.contains(message), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
    fs::write(bench.path("list"), b"\xff\xfe").unwrap();
    refused(&bench, &["--garbage", "--protect", "list"]);
    refused(&bench, &["--garbage", "--protect", "none"]);
    refused(&bench, &["--garbage", "--protect-tags", "["]);
    // What it names stays.
    fs::write(bench.path("list"), "registry.example.com:5000/team/app:1.1\n").unwrap();
    let sql = "SELECT repository, tag FROM tags";
    let guards = ["--protect", "list", "--protect-tags", "tool/cli:v*", "--min-age", "0s"];
    let text = bench.ends(
        0,
        &[&["prune", "--sql", sql, "--max-delete-percent", "100"], &guards[..], OFFLINE].concat(),
    );
    assert!(text.contains("Stays: 2 protected"), "{text}");
    assert!(text.contains("1 of 1 protected references name something here"), "{text}");
    let left = bench.done(&["sql", "SELECT tag FROM tags ORDER BY tag", "-f", "csv"]);
    assert_eq!(left, "tag\n1.1\nv1\n");
}

#[test]
fn a_protect_list_that_names_nothing_is_told() {
    // Perhaps the command that was to write it failed.
    let bench = Bench::of_sample();
    fs::write(bench.path("list"), "\n# images in use\n").unwrap();
    let text = bench.ends(0, &["prune", "--garbage", "--protect", "list"]);
    assert!(text.contains("warning: protect list `list` names nothing"), "{text}");
    let text = refused(&bench, &["--garbage", "--protect", "list"]);
    assert!(text.contains("error: protect list `list` names nothing"), "{text}");
    assert!(text.contains("hint: an empty list protects nothing"), "{text}");
}

/// Prunes beside pushes with a wait, and sends Ctrl-C each time that it waits. What it said.
fn interrupted(bench: &Bench, choice: &[&str], wait: &str, most: usize) -> String {
    let online = ["--online", "--cache-off", "--wait", wait, "--delete", "--yes"];
    let mut command = bench.command(&[choice, &online, &["--after", "touch started"]].concat());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let mut told = String::new();
    let mut count = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("waiting") && count < most {
            count += 1;
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        }
        told.push_str(&line);
        told.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    assert!(bench.path("started").exists(), "--after must run: {told}");
    told
}

#[test]
fn ctrl_c_in_the_middle_ends_the_run_in_order_and_undo_puts_it_back() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    // Revisions and links have gone, blobs have not.
    interrupted(&bench, GARBAGE, "1s", 1);
    let list = bench.done(&["trash", "list", "-f", "csv"]);
    assert!(list.contains(",finished,0,0,1,") && list.contains(",0,0\n"), "{list}");
    bench.done(&["undo"]);
    before.assert_same(&bench.tree(), "after undo");
}

#[test]
fn ctrl_c_before_anything_moved_ends_at_once_and_leaves_no_empty_run() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    // A blob that nothing refers to goes after the wait.
    let told = interrupted(&bench, &["prune", "orphan-blobs", "--min-age", "0s"], "60s", 1);
    assert_eq!(told.matches("waiting").count(), 1, "{told}");
    assert_eq!(bench.done(&["trash", "list", "-f", "csv"]).lines().count(), 1, "{told}");
    before.assert_same(&bench.tree(), "after the interruption");
}

#[test]
fn a_second_ctrl_c_ends_the_watch_and_the_next_run_puts_it_back_first() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    let told = interrupted(&bench, GARBAGE, "60s", 2);
    assert!(told.contains("Ctrl-C again"), "{told}");
    let list = bench.done(&["trash", "list", "-f", "csv"]);
    assert!(list.contains(",unfinished,"), "{list}");
    let text = bench.prune(0, &[]);
    assert!(text.contains("was stopped before its end: "), "{text}");
    bench.done(&["undo"]);
    before.assert_same(&bench.tree(), "after the undo");
}

#[test]
fn ctrl_c_before_the_act_touches_nothing_and_after_still_runs() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    bench.prune(130, &["--before", "kill -INT $PPID; sleep 0.2", "--after", "touch started"]);
    assert!(bench.path("started").exists());
    before.assert_same(&bench.tree(), "after the interruption");
}
