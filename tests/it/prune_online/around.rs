//! `--before` and `--after`, and storages that fail in the middle.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use walkdir::WalkDir;

use super::{Bench, GARBAGE, OFFLINE};
use crate::env::shown;

#[test]
fn before_and_after_run_around_the_act_and_speak_on_standard_error() {
    let bench = Bench::of_sample();
    let before = "echo stopped; ls registry/.regsql/trash >seen 2>&1 || true";
    let more = ["--before", before, "--after", "ls registry/.regsql/trash >>seen; echo started"];
    let output = bench.run(&[GARBAGE, OFFLINE, &more, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = document["trash_run"].as_str().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.find("stopped").unwrap() < told.find("started").unwrap(), "{told}");
    // Nothing had moved when the first ran, and all had when the second did.
    let seen = fs::read_to_string(bench.path("seen")).unwrap();
    assert!(seen.starts_with("ls: ") && seen.ends_with(&format!("{run}\n")), "{seen}");
}

#[test]
fn after_runs_when_before_fails_and_nothing_is_touched() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    let text = bench.prune(2, &["--before", "exit 3", "--after", "touch started"]);
    assert!(text.contains("the command of --before failed with exit status: 3: exit 3"), "{text}");
    assert!(bench.path("started").exists());
    before.assert_same(&bench.tree(), "after --before failed");
}

#[test]
fn after_runs_when_the_act_fails_and_both_failures_are_told() {
    let bench = Bench::of_sample();
    let before = bench.tree();
    // Someone else is at it.
    fs::create_dir(bench.root().join(".regsql")).unwrap();
    let hold = "(flock 9; exec sleep 30) 9>registry/.regsql/lock >out 2>&1 & echo $! >holder; \
                sleep 0.3";
    let release = "kill $(cat holder); exit 4";
    let text = bench.prune(2, &["--before", hold, "--after", release]);
    assert!(text.contains("error: another regsql is changing this storage"), "{text}");
    assert!(text.contains("warning: the command of --after failed"), "{text}");
    before.assert_same(&bench.tree(), "after the act failed");
    let text = bench.prune(2, &["--after", "exit 5"]);
    assert!(text.contains("error: the command of --after failed with exit status: 5"), "{text}");
    assert!(text.contains("Deleted "), "the act itself succeeded: {text}");
}

#[test]
fn neither_runs_when_there_is_nothing_to_delete() {
    let bench = Bench::of_sample();
    bench.prune(0, &[]);
    let text = bench.prune(0, &["--before", "touch stopped", "--after", "touch started"]);
    assert!(text.contains("Nothing to delete"), "{text}");
    assert!(!bench.path("stopped").exists() && !bench.path("started").exists());
}

/// The program where another user may run it.
fn copied_program(bench: &Bench) -> std::path::PathBuf {
    let program = bench.path("regsql");
    fs::copy(crate::env::REGSQL, &program).unwrap();
    program
}

/// Becomes nobody when root, whom no permission stops.
fn as_nobody(bench: &Bench, arguments: &[&str]) -> Output {
    if !rustix::process::geteuid().is_root() {
        return bench.run(arguments);
    }
    let here = bench.directory.path();
    let program = copied_program(bench);
    let owner = Command::new("chown").args(["-R", "65534:65534"]).arg(here).status().unwrap();
    assert!(owner.success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.args(arguments).current_dir(here).output().unwrap()
}

/// The directories of the blobs that [`GARBAGE`] takes.
fn garbage_blobs(bench: &Bench) -> Vec<PathBuf> {
    let (plan, _) = bench.json(GARBAGE);
    let items = plan["items"].as_array().unwrap();
    let digests = items.iter().filter_map(|item| item["blob_digest"].as_str());
    let directory = |digest: &str| {
        let digest = regsql::model::Digest::parse(digest).unwrap();
        bench.root().join(regsql::sample::paths::blob_directory(&digest))
    };
    digests.map(directory).collect()
}

#[test]
fn a_directory_that_may_not_be_changed_keeps_its_blob_and_all_else_goes() {
    let bench = Bench::of_sample();
    let blobs = garbage_blobs(&bench);
    let shard = blobs[0].parent().unwrap();
    let in_shard = blobs.iter().filter(|blob| blob.parent() == Some(shard)).count();
    fs::set_permissions(shard, Permissions::from_mode(0o555)).unwrap();
    let output = as_nobody(&bench, &[GARBAGE, OFFLINE, &["--log-time", "never"]].concat());
    let text = shown(&output);
    fs::set_permissions(shard, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("Stays: {in_shard} could not be removed")), "{text}");
    assert!(text.contains("Permission denied"), "{text}");
    assert!(text.contains(&format!("Deleted {} blob", blobs.len() - in_shard)), "{text}");
    assert!(blobs[0].exists());
    assert!(blobs[1..].iter().filter(|blob| blob.parent() != Some(shard)).all(|b| !b.exists()));
    // Another run takes the rest.
    let text = bench.prune(0, &[]);
    assert!(text.contains(&format!("Deleted {in_shard} blob")), "{text}");
}

/// Runs `script` where `$1` is the storage, on a small file system of its own with `options`, or
/// says why there is none.
fn on_small_disk(bench: &Bench, options: &str, script: &str) -> Option<Output> {
    let mount = format!(
        "cp -a \"$1\" saved; mount -t tmpfs -o {options} none \"$1\"; cp -a saved/. \"$1\"; {script}"
    );
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        let is_root = rustix::process::geteuid().is_root();
        command.args(if is_root { &["-m"] as &[_] } else { &["-r", "-m"] });
        command.args(["sh", "-e", "-c", script, "sh", "registry"]).arg(copied_program(bench));
        command.current_dir(bench.directory.path()).output().unwrap()
    };
    let tried = namespace("mount -t tmpfs none \"$1\"");
    if !tried.status.success() {
        // Containers often forbid mounts.
        let reason = shown(&tried);
        let mut stderr = std::io::stderr();
        writeln!(stderr, "not tried, for it needs a mount: {reason}").unwrap();
        return None;
    }
    Some(namespace(&mount))
}

fn entries_below(path: &Path) -> usize {
    WalkDir::new(path).min_depth(1).into_iter().count()
}

/// The trash needs its lock, its list and some directories, and from then on nothing: things are
/// renamed. However few files fit, a run is refused, stops or is done, and nothing is lost.
#[test]
fn a_disk_with_room_for_few_files_loses_nothing() {
    let mut codes = Vec::new();
    for spare in [3, 4, 5, 6, 7, 8, 9, 10, 12, 20] {
        let bench = Bench::of_sample();
        let before = bench.tree();
        let options = format!("size=10m,nr_inodes={}", entries_below(&bench.root()) + spare);
        let script = format!(
            "set +e; ./regsql {} {} --log-time never >told 2>&1; echo $? >code; set -e
             ./regsql undo >undone 2>&1 || true; cp -a \"$1/docker\" after",
            GARBAGE.join(" "),
            OFFLINE.join(" "),
        );
        let Some(output) = on_small_disk(&bench, &options, &script) else { return };
        assert!(output.status.success(), "{spare}: {}", shown(&output));
        let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
        let (code, told) = (read("code"), read("told"));
        match code.trim() {
            "0" => assert!(told.contains("Moved to the trash"), "{spare}: {told}"),
            "1" | "2" => assert!(told.contains("No space left on device"), "{spare}: {told}"),
            code => panic!("{spare}: exit {code}: {told}"),
        }
        codes.push(code.trim().to_owned());
        let after = crate::tree::Tree::of(&bench.path("after"));
        let before = before.nodes.keys().filter_map(|path| path.strip_prefix("docker").ok());
        let before: Vec<_> = before.filter(|path| !path.as_os_str().is_empty()).collect();
        let after: Vec<_> = after.nodes.keys().collect();
        assert_eq!(after, before, "{spare}: {told}{}", read("undone"));
    }
    assert!(codes.contains(&"0".to_owned()) && codes.iter().any(|code| code != "0"), "{codes:?}");
}

#[test]
fn a_storage_that_became_read_only_is_refused_before_anything_moves() {
    let bench = Bench::of_sample();
    let script = format!(
        "mount -o remount,ro \"$1\"; set +e
         ./regsql {} {} --log-time never --after 'echo started' >told 2>&1; echo $? >code",
        GARBAGE.join(" "),
        OFFLINE.join(" "),
    );
    let Some(output) = on_small_disk(&bench, "size=10m", &script) else { return };
    assert!(output.status.success(), "{}", shown(&output));
    let told = fs::read_to_string(bench.path("told")).unwrap();
    assert_eq!(fs::read_to_string(bench.path("code")).unwrap(), "2\n", "{told}");
    assert!(told.contains("hint: the storage is mounted read-only"), "{told}");
    assert!(told.contains("started"), "{told}");
}
