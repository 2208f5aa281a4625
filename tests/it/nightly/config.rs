//! Files that are no configuration of a job.

use std::fs;

use crate::env::{behaves, regsql_in, shown};

const GOOD: &str = "storage = \"registry\"\n\
    [registry]\nurl = \"http://127.0.0.1:1\"\nstop = \"true\"\nstart = \"true\"\n";

/// What regsql says of a file with this text, without the exit code, which is 2.
fn said(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("night.toml"), text).unwrap();
    let output = behaves(regsql_in(directory.path(), &["nightly", "--config", "night.toml"]));
    assert_eq!(output.status.code(), Some(2), "{text}: {}", shown(&output));
    assert!(!directory.path().join("registry.db.nightly").exists(), "nothing was begun");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_mistake_is_named_with_its_line_and_a_hint() {
    let with = |more: &str| format!("{GOOD}{more}\n");
    let mistakes = [
        ("no TOML", "storage = \n".to_owned()),
        ("empty", String::new()),
        ("no registry", "storage = \"x\"\n".to_owned()),
        ("no url", "storage = \"x\"\n[registry]\nstop = \"true\"\nstart = \"true\"\n".to_owned()),
        ("a key that is nearly one", with("[prune]\ngarbag = true")),
        ("a table that is none", with("[pruning]\ngarbage = true")),
        ("a key that is like none", with("[output]\nsyslog = true")),
        ("a number for a time", with("[limits]\nstep = 30")),
        ("a time without a unit", with("[limits]\nstep = \"30\"")),
        ("a step that is none", with("[limits]\nprun = \"30m\"")),
        ("a text for a list", with("[prune]\nreports = \"keep-latest\"")),
        ("a report with odd words", with("[prune]\nreports = [\"keep-latest keep 5\"]")),
        ("a size that is none", with("[prune]\nonly_if_frees = \"much\"")),
        ("more than all", with("[prune]\nmax_delete_percent = 500")),
        ("no start", GOOD.replace("start = \"true\"\n", "")),
        ("no stop", GOOD.replace("stop = \"true\"\n", "")),
        ("no way at all", GOOD.replace("stop = \"true\"\nstart = \"true\"\n", "")),
        ("two ways", GOOD.replace("stop =", "online = true\nstop =")),
        ("half a login", with("").replace("stop =", "user = \"ann\"\nstop =")),
        ("no command", GOOD.replace("stop = \"true\"", "stop = \" \"")),
        ("twice", with("[check]\npull = 1\npull = 2")),
    ];
    let all: Vec<String> =
        mistakes.iter().map(|(name, text)| format!("== {name}\n{}", said(text))).collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let output = behaves(regsql_in(directory.path(), &["nightly", "--config", "none.toml"]));
    let text = shown(&output);
    assert!(text.contains("error: cannot read the configuration `none.toml`"), "{text}");
    assert!(text.contains("hint: name the job's file with --config"), "{text}");
    fs::write(directory.path().join("bytes.toml"), [0xff, 0xfe, b'\n']).unwrap();
    let output = behaves(regsql_in(directory.path(), &["nightly", "--config", "bytes.toml"]));
    assert!(shown(&output).contains("bytes.toml"), "{}", shown(&output));
}

#[test]
fn a_file_that_would_have_no_directory_at_the_end_of_the_night_is_found_before_it_begins() {
    for key in ["log", "json", "metrics"] {
        let text = said(&format!("{GOOD}[output]\n{key} = \"no such/file\"\n"));
        let expected = format!("error: `output.{key}`: there is no directory `no such`\n");
        assert_eq!(text, format!("{expected}hint: nothing was done: mkdir -p 'no such'\n"));
    }
}
