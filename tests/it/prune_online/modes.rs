//! What the registry is doing decides whether anything is deleted.

use std::io::Write as _;

use regsql::sample::paths;

use super::{Bench, GARBAGE, OFFLINE, sample, url};
use crate::real::layout::{Image, layer};
use crate::real::pushes;
use crate::real::registry::Registry;
use crate::registry_api::fake::{Fake, reply};
use crate::tree::Tree;

/// A registry with an image whose tag moved on, and what is left of it.
pub fn registry_with_garbage(change: impl FnOnce(&str) -> String) -> Registry {
    let registry = Registry::start_with(change);
    let base = layer("base", 10_000);
    for name in ["old", "new"] {
        let image = Image::of(&[&base, &layer(name, 5_000)]);
        pushes::put(&registry, "team/app", "1.0", &image);
    }
    registry
}

const DELETE: &[&str] = &["--delete", "--yes"];

fn refused(bench: &Bench, registry: &Registry, how: &[&str]) -> String {
    let before = Tree::of_registry(&registry.root());
    let text = bench.ends(2, &[GARBAGE, DELETE, how].concat());
    before.assert_same(&Tree::of_registry(&registry.root()), "after the refusal");
    assert!(!registry.root().join(".regsql/trash").exists(), "{text}");
    text
}

#[test]
fn a_registry_that_takes_pushes_is_refused_and_one_that_is_stopped_or_read_only_is_not() {
    let mut registry = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    let url = url(&registry);
    let text = refused(&bench, &registry, &["--registry-url", &url]);
    assert!(text.contains("takes pushes: nothing was touched"), "{text}");
    assert!(text.contains("hint: stop it (--before and --after can)"), "{text}");
    let text = refused(&bench, &registry, &["--registry-url", &url, "--before", "true"]);
    assert!(text.contains("still takes pushes after --before: nothing was touched"), "{text}");
    // Nobody is asked whether to do what is refused then.
    let line = format!("regsql {} --delete --registry-url {url}", GARBAGE.join(" "));
    let mut command = crate::env::on_terminal(&line);
    command.current_dir(bench.directory.path()).stdin(std::process::Stdio::null());
    let output = command.output().unwrap();
    let text = crate::env::shown(&output);
    assert!(text.contains("takes pushes: nothing was touched"), "{text}");
    assert!(!text.contains("Type yes"), "{text}");
    let text = refused(&bench, &registry, &["--offline", "--registry-url", &url]);
    assert!(text.contains("although --offline says that nothing writes"), "{text}");

    registry.restart_with(|config| {
        config
            .replace("storage:\n", "storage:\n  maintenance:\n    readonly:\n      enabled: true\n")
    });
    let read_only = super::url(&registry);
    let revision = ["prune", "untagged-revisions", "--keep-revisions", "--min-age", "0s"];
    bench.ends(1, &[&revision[..], DELETE, &["--registry-url", &read_only]].concat());
    bench.ends(0, &[GARBAGE, DELETE, &["--registry-url", &read_only]].concat());
    assert_eq!(bench.done(&["report", "orphan-blobs", "-f", "csv"]).lines().count(), 1);

    bench.done(&["undo"]);
    registry.stop();
    let text = bench.ends(0, &[GARBAGE, DELETE, &["--registry-url", &url]].concat());
    assert!(text.contains("warning: nothing listens at"), "{text}");
    assert!(text.contains("taken as stopped, but a wrong port looks the same"), "{text}");
    registry.serve();
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/1.0").status, 200);
}

#[test]
fn nothing_is_deleted_before_it_is_said_what_the_registry_does_and_that_it_is_meant() {
    let registry = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    let text = refused(&bench, &registry, &[]);
    assert!(text.contains("--delete does not say what the registry is doing"), "{text}");
    let text = refused(&bench, &registry, &["--online"]);
    assert!(text.contains("does not say how the registry's cache forgets"), "{text}");
    assert!(text.contains("hint: add --registry-url URL"), "{text}");
    // Nobody is at the terminal, and there is no --yes.
    let before = Tree::of_registry(&registry.root());
    let text = bench.ends(2, &[GARBAGE, &["--delete", "--offline"]].concat());
    assert!(text.contains("there is no terminal to ask on"), "{text}");
    assert!(text.contains("hint: add --yes"), "{text}");
    before.assert_same(&Tree::of_registry(&registry.root()), "without an answer");
    let text = bench.ends(2, &[GARBAGE, &["--online", "--offline"]].concat());
    assert!(text.contains("cannot be used with"), "{text}");
}

#[test]
fn the_address_behind_online_is_told_its_option() {
    let bench = Bench::of_sample();
    for how in
        [["--online", "http://registry.example:5000"], ["--offline", "https://registry.example"]]
    {
        let text = bench.ends(2, &[GARBAGE, DELETE, &how].concat());
        assert!(text.contains(&format!("error: `{}` is no report's name", how[1])), "{text}");
        assert!(text.contains(&format!("--registry-url {}", how[1])), "{text}");
    }
}

#[test]
fn a_person_knows_of_the_waits_before_the_question() {
    let bench = Bench::of_sample();
    let online = ["--online", "--cache-off"];
    let waits = "twice 10m for pushes under way: before blobs go, and after what went (--wait)\n";
    let text = bench.ends(0, &[GARBAGE, &online].concat());
    assert!(text.contains(&format!("Would wait {waits}")), "{text}");
    let line =
        format!("prune {} --delete --wait 90s", &[&GARBAGE[1..], &online].concat().join(" "));
    let (code, text) = answer(&bench, &line.split(' ').collect::<Vec<_>>(), "n");
    assert_eq!(code, Some(2), "{text}");
    let (before, after) = text.split_once("Would wait twice 1m 30s for pushes under way").unwrap();
    assert!(!before.contains("Type yes") && after.contains("Type yes"), "{text}");
    // Where nothing waits, nothing is said.
    for how in [&["--offline"][..], &[], &["--online", "--cache-off", "--wait", "0s"]] {
        let text = bench.ends(0, &[GARBAGE, how].concat());
        assert!(!text.to_lowercase().contains("wait"), "{text}");
    }
}

#[test]
fn online_with_a_registry_that_deletes_nothing_is_refused_before_anything_moves() {
    let registry =
        registry_with_garbage(|config| config.replace("enabled: true", "enabled: false"));
    let bench = Bench::of(&registry.root());
    let url = url(&registry);
    let text = refused(&bench, &registry, &["--online", "--registry-url", &url]);
    assert!(text.contains("does not remove layer links: nothing was touched"), "{text}");
    assert!(text.contains("storage.delete.enabled: true"), "{text}");
    // Nor can a registry be asked that is not there.
    let text = refused(&bench, &registry, &["--online", "--registry-url", "http://127.0.0.1:1"]);
    assert!(text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn a_corrupt_blob_stays_beside_a_registry_whose_cache_would_keep_a_push_from_healing_it() {
    let bench = Bench::of_sample();
    let layer = sample().layer("one", 3_000);
    let data = bench.root().join(regsql::sample::paths::blob(&layer.digest));
    std::fs::write(&data, "cut").unwrap();
    bench.done(&["scan", "registry"]);
    let corrupt = ["prune", "--corrupt", "--min-age", "0s"];
    bench.done(&[&corrupt[..], &["--save", "plan.json"]].concat());
    let before = bench.tree();
    let online = ["--online", "--registry-url", "http://127.0.0.1:1", "--wait", "0s"];
    let by_plan = ["prune", "--plan", "plan.json", "--min-age", "0s"];
    for choice in [&corrupt, &by_plan[..]] {
        let text = bench.ends(2, &[choice, DELETE, &online].concat());
        assert!(text.contains("may cache corrupt blobs, and then no push repairs them"), "{text}");
        assert!(text.contains("hint: stop it or make it read-only"), "{text}");
        assert!(text.contains("--cache-off"), "{text}");
        before.assert_same(&bench.tree(), "after the refusal");
    }
    let cacheless = ["--online", "--cache-off", "--wait", "0s"];
    let text = bench.ends(0, &[&by_plan[..], DELETE, &cacheless].concat());
    assert!(text.contains("Deleted 1 corrupt blob\n"), "{text}");
    assert!(!data.exists());
}

#[test]
fn the_storage_of_a_pull_through_cache_is_left_to_its_registry() {
    let bench = Bench::of_sample();
    std::fs::write(bench.root().join("scheduler-state.json"), "{}").unwrap();
    let before = bench.tree();
    let text = bench.prune(2, &[]);
    assert!(text.contains("is the storage of a pull-through cache"), "{text}");
    assert!(text.contains("hint: its registry removes"), "{text}");
    before.assert_same(&bench.tree(), "after the refusal");
    // To look is free.
    bench.done(&["prune", "--garbage"]);
}

#[test]
fn limits_on_bytes_and_percent_refuse_the_whole_plan() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    let text = bench.prune(1, &["--max-delete-bytes", "1KiB"]);
    assert!(text.contains("would come free, and --max-delete-bytes is 1.000 KiB"), "{text}");
    let text = bench.prune(1, &["--max-delete-percent", "1"]);
    assert!(text.contains("--max-delete-percent is 1"), "{text}");
    // Whoever asked for quiet is told why as well.
    let text = bench.prune(1, &["--max-delete-percent", "1", "-q"]);
    assert!(text.contains("--max-delete-percent is 1"), "{text}");
    before.assert_same(&bench.tree(), "after the refusals");
    bench.prune(0, &["--max-delete-bytes", "1MiB"]);
    assert_ne!(before, bench.tree());
}

#[test]
fn lines_of_a_log_begin_with_the_time() {
    let bench = Bench::of_sample();
    let arguments = [GARBAGE, OFFLINE, &["--format", "json"]].concat();
    let output = bench.run(&arguments);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.lines().count() > 2, "{log}");
    for line in log.lines() {
        let (time, _) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{line}");
    }
    let output = bench.run(&[&arguments[..], &["--log-time", "never"]].concat());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("Nothing to delete"));
    // Who only looks does not keep a log, unless they say so.
    let dry = ["prune", "--garbage", "--format", "json", "--save", "plan.json"];
    let output = bench.run(&dry);
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("saved the plan"));
    let output = bench.command(&dry).env("REGSQL_LOG_TIME", "always").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("20"));
}

/// What a command on a terminal says to who answers its question with `word`.
fn answer(bench: &Bench, arguments: &[&str], word: &str) -> (Option<i32>, String) {
    let line = format!("{} {}", crate::env::REGSQL, arguments.join(" "));
    let mut script = std::process::Command::new("script");
    let mut child = script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(bench.path("."))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("script of bsdutils");
    child.stdin.take().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn on_a_terminal_only_yes_is_yes() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    let prune = [GARBAGE, &["--offline", "--delete"]].concat();
    let (code, text) = answer(&bench, &prune, "y");
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("Type yes to go on") && text.contains("the answer was not yes"),
        "{text}"
    );
    before.assert_same(&bench.tree(), "after another answer");
    let (code, text) = answer(&bench, &prune, "yes");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Deleted "), "{text}");
}

#[test]
fn on_a_terminal_a_purge_asks_because_nothing_undoes_it() {
    let bench = Bench::of_sample();
    bench.prune(0, &[]);
    let held = bench.done(&["trash", "list", "-f", "csv"]);
    let text = bench.ends(2, &["trash", "purge"]);
    assert!(text.contains("there is no terminal to ask on"), "{text}");
    assert!(text.contains("hint: add --yes"), "{text}");
    let (code, text) = answer(&bench, &["-q", "trash", "purge"], "n");
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("Remove 1 run from the trash (1 revision, 2 layer links, 4 blobs, "),
        "{text}"
    );
    assert!(text.contains("CANNOT BE UNDONE") && text.contains("nothing was removed"), "{text}");
    assert_eq!(bench.done(&["trash", "list", "-f", "csv"]), held);
    let (code, text) = answer(&bench, &["trash", "purge", "--older-than", "7d"], "n");
    assert_eq!(code, Some(0), "nothing is meant, so nothing is asked: {text}");
    assert!(bench.done(&["report"]).contains("regsql trash purge"), "the overview leads there");
    let (code, text) = answer(&bench, &["trash", "purge"], "yes");
    assert_eq!(code, Some(0), "{text}");
    assert!(!bench.done(&["report"]).contains("trash"), "nothing is left in it");
    assert_eq!(bench.done(&["trash", "list", "-f", "csv"]).lines().count(), 1);
}

#[test]
fn a_dangling_link_goes_although_the_registry_does_not_know_it() {
    let registry = registry_with_garbage(str::to_owned);
    let hex = "ab".repeat(32);
    let link = "docker/registry/v2/repositories/team/app/_layers/sha256";
    let directory = registry.root().join(link).join(&hex);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("link"), format!("sha256:{hex}")).unwrap();
    let bench = Bench::of(&registry.root());
    let online = ["--online", "--wait", "100ms", "--registry-url", &url(&registry)];
    let choice = ["prune", "dangling-links", "--min-age", "0s"];
    let text = bench.ends(0, &[&choice[..], DELETE, &online].concat());
    assert!(text.contains("Deleted 1 layer link"), "{text}");
    assert!(!directory.exists());
}

#[test]
fn the_address_of_another_registry_is_found_out_by_the_first_link_that_stays() {
    let registry = registry_with_garbage(str::to_owned);
    let other = registry_with_garbage(str::to_owned);
    let bench = Bench::of(&registry.root());
    let online = ["--online", "--wait", "100ms", "--registry-url", &url(&other)];
    let text = bench.ends(1, &[GARBAGE, DELETE, &online].concat());
    assert!(text.contains("is --registry-url the registry of this storage?"), "{text}");
    assert!(!text.contains("Deleted 1 blob"), "{text}");
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/1.0").status, 200);
}

#[test]
fn an_empty_repository_with_young_directories_stays_in_one_line_and_is_no_finding() {
    let bench = Bench::of_sample();
    // Its links and uploads are as old as their images say, its directories were just made.
    bench.done(&["demo", "demo"]);
    let prune = ["--db", "demo/registry.db", "prune", "--garbage"];
    let plan = bench.ends(0, &prune);
    assert!(plan.contains("1 empty repository"), "{plan}");
    assert!(
        plan.contains(" now, and 506.000 MiB more when it is 24 h old"),
        "says how much: {plan}"
    );
    let text = bench.ends(0, &[&prune[..], OFFLINE].concat());
    assert!(text.contains("Stays: 1 too young to go yet (--min-age); a later run"), "{text}");
}

#[test]
fn a_link_that_went_although_the_registry_failed_to_say_so_is_put_back() {
    let bench = Bench::of_sample();
    let mut registry = sample();
    let left = registry.layer("of a deleted image", 2_000);
    registry.link_layer("team/app", &left.digest);
    registry.write_to(&bench.root()).unwrap();
    bench.done(&["scan", "registry"]);
    let before = bench.tree();
    let link = bench.root().join(paths::layer_link("team/app", &left.digest));
    let digest = left.digest.to_string();
    let server = Fake::start({
        let link = link.clone();
        move |head, stream| {
            if head.starts_with("HEAD") {
                reply(stream, "200 OK", &[], "");
            } else if head.contains(&digest) {
                std::fs::remove_file(&link).ok();
                reply(stream, "500 Internal Server Error", &[], "{}");
            } else {
                let unknown = "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\"}]}";
                reply(stream, "404 Not Found", &[], unknown);
            }
        }
    });
    let prune = ["prune", "unneeded-links", "--min-age", "0s", "--online", "--wait", "0s"];
    let text = bench.ends(1, &[&prune[..], &["--registry-url", &server.url()], DELETE].concat());
    assert!(text.contains("could not be removed") && link.exists(), "{text}");
    bench.done(&["undo"]);
    before.assert_same(&bench.tree(), "after undo");
}
