//! Findings as they go out: severities, exit codes, formats, what to push again.

use std::fs;

use quick_xml::Reader;
use quick_xml::events::Event;
use regsql::model::Code;
use regsql::sample::paths;

use super::{Storage, rows};

/// A layer that is gone, a stray file and a dangling link: an error, a warning and a note.
fn damaged() -> Storage {
    let storage = Storage::with(|registry| {
        registry.link_layer("tool/cli", &regsql::model::Digest::of(b"gone"));
    });
    fs::remove_dir_all(storage.data(&storage.base).parent().unwrap()).unwrap();
    fs::write(storage.root().join("docker/registry/v2/blobs/notes.txt"), "x").unwrap();
    let root = storage.root();
    storage.ends(0, &["scan", root.to_str().unwrap()]);
    storage
}

fn severities(rows: &[serde_json::Value]) -> Vec<(&str, &str)> {
    rows.iter()
        .map(|row| (row["severity"].as_str().unwrap(), row["code"].as_str().unwrap()))
        .collect()
}

#[test]
fn errors_come_first_and_only_what_counts_makes_the_exit_code_1() {
    let storage = damaged();
    let (out, err) = storage.ends(1, &["verify", "-f", "json"]);
    assert_eq!(
        severities(&rows(&out)),
        [
            ("error", "layer-missing"),
            ("warning", "foreign-file"),
            // One is that of the layer that is gone.
            ("info", "dangling-link"),
            ("info", "dangling-link"),
        ]
    );
    assert!(err.contains("1 error, 1 warning, 2 notes"), "{err}");
    storage.ends(0, &["verify", "--fail-on", "never"]);

    let lowered = ["verify", "-f", "json", "--severity", "layer-missing=warning"];
    let (out, _) = storage.ends(0, &lowered);
    assert_eq!(severities(&rows(&out))[0], ("warning", "foreign-file"));
    storage.ends(1, &[&lowered[..], &["--fail-on", "warning"]].concat());

    let silenced = [&lowered[..], &["--severity", "foreign-file=off"]].concat();
    let (out, _) = storage.ends(0, &silenced);
    assert!(!out.contains("foreign-file"), "{out}");
    storage.ends(1, &[&silenced[..], &["--severity", "dangling-link=error"]].concat());

    let (_, err) = storage.ends(2, &["verify", "--severity", "no-such-code=off"]);
    assert!(err.contains("there is no code `no-such-code`"), "{err}");
}

#[test]
fn a_table_ends_with_what_to_do_and_what_to_push_again() {
    let storage = damaged();
    let (out, _) = storage.ends(1, &["verify"]);
    assert!(out.contains("team/app:1.0, team/app:1.1"), "{out}");
    let hint = format!("layer-missing  {}", Code::LayerMissing.hint());
    assert!(out.contains(&hint), "{out}");
    let mending = out.split("What to push again").nth(1).unwrap();
    // Both tags were written within one tick of the file system's clock, so either may be the newest.
    assert!(mending.contains("layer-missing  team/app:1."), "{mending}");
    // What breaks nothing needs no table of what to push.
    let (out, _) = storage.ends(0, &["verify", "--severity", "layer-missing=off"]);
    assert!(!out.contains("What to push again"), "{out}");
}

#[test]
fn every_format_has_every_finding() {
    let storage = damaged();
    for format in ["table", "json", "ndjson", "csv", "tsv", "markdown", "sarif", "junit"] {
        let (out, _) = storage.ends(1, &["verify", "-f", format]);
        for code in ["layer-missing", "foreign-file", "dangling-link"] {
            assert!(out.contains(code), "{format}: {out}");
        }
    }
}

#[test]
fn sarif_is_what_its_readers_expect() {
    let storage = damaged();
    let (out, _) = storage.ends(1, &["verify", "-f", "sarif"]);
    let log: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Code::ALL.len());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert!(uri.as_str().unwrap().starts_with("docker/registry/v2/"), "{uri}");
    }
    assert_eq!(results[0]["properties"]["broken_tag_count"], 2);
}

#[test]
fn junit_is_well_formed_and_fails_where_something_counts() {
    let storage = damaged();
    let (out, _) = storage.ends(1, &["verify", "-f", "junit", "--fail-on", "warning"]);
    let mut reader = Reader::from_str(&out);
    let mut open = Vec::new();
    let (mut cases, mut failed) = (0, Vec::new());
    let mut case = String::new();
    loop {
        let event = reader.read_event().unwrap();
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            match tag.name().as_ref() {
                "testcase" => {
                    cases += 1;
                    let name = tag.try_get_attribute("name").unwrap().unwrap();
                    case = name.value.into_owned();
                }
                "failure" => failed.push(case.clone()),
                _ => {}
            }
        }
        match event {
            Event::Start(tag) => open.push(tag.name().as_ref().to_owned()),
            Event::End(tag) => assert_eq!(open.pop().unwrap(), tag.name().as_ref()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    assert_eq!(cases, Code::ALL.len());
    assert_eq!(failed, ["layer-missing", "foreign-file"]);
}

#[test]
fn faults_of_tags_themselves_name_their_tags() {
    let storage = Storage::new();
    let root = storage.root();
    fs::remove_file(root.join(paths::tag_current("team/app", "1.0"))).unwrap();
    fs::write(root.join(paths::tag_current("tool/cli", "1")), "").unwrap();
    let (out, _) = storage.ends(1, &["verify", "-f", "json", "--max-scan-age", "0s"]);
    let found: Vec<_> = rows(&out)
        .iter()
        .map(|row| (row["code"].as_str().unwrap().to_owned(), row["first_broken_tags"].clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("tag-link-unreadable".into(), "tool/cli:1".into()),
            ("half-tag".into(), "team/app:1.0".into())
        ]
    );
}

#[test]
fn pushing_one_image_heals_many() {
    // Three images on one base, and the newest misses its own layer as well.
    let storage = Storage::with(|registry| {
        let base = registry.layer("shared base", 9_000);
        for tag in ["1", "2", "3"] {
            let own = registry.layer(&format!("own {tag}"), 1_000);
            registry.image("web/app").layers([&base, &own]).push_tag(tag);
        }
        for layer in ["shared base of 9000 bytes", "own 3 of 1000 bytes"] {
            let (name, size) = layer.split_once(" of ").unwrap();
            let size = size.trim_end_matches(" bytes").parse().unwrap();
            let digest = registry.layer(name, size).digest;
            registry.tree.remove(&paths::blob_directory(&digest));
        }
    });
    let (out, _) = storage.ends(0, &["report", "mending", "-f", "json", "-q"]);
    let rows = rows(&out);
    let row = |at: usize| {
        let row: &serde_json::Value = &rows[at];
        (row["broken_tag_count"].clone(), row["mended_tag_count"].clone(), row["image"].clone())
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(row(0), (3.into(), 2.into(), "web/app:3".into()));
    assert_eq!(row(1), (1.into(), 0.into(), "web/app:3".into()));
}
