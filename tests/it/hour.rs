//! The hour in which the disk is full: what one command says the next one must not deny, and a log
//! must say when, what and why.

mod interrupts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regsql::sample::RegistryBuilder;
use regsql::sample::demo::demo_registry;
use rusqlite::Connection;
use rusqlite::types::FromSql;
use serde_json::Value;

use crate::retention::{days_ago, images};

const DAY_NS: i64 = 86_400_000_000_000;

/// The demo's registry, scanned.
struct Demo {
    directory: tempfile::TempDir,
}

impl Demo {
    fn new() -> Self {
        let demo = Self { directory: tempfile::tempdir().unwrap() };
        assert!(demo.run(&["-q", "demo", "d"]).status.success());
        demo
    }

    /// Another registry in the place of the demo's.
    fn of(registry: &RegistryBuilder, more: &[&str]) -> Self {
        let demo = Self { directory: tempfile::tempdir().unwrap() };
        registry.write_to(&demo.directory.path().join("d/registry")).unwrap();
        let output = demo.run(&[&["-q", "scan", "d/registry"], more].concat());
        assert!(output.status.success(), "{}", crate::env::shown(&output));
        demo
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("d/registry.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::env::regsql_in(self.directory.path(), arguments);
        command.env("REGSQL_DB", self.database());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["-f", "json"]].concat())).unwrap()
    }

    fn value<T: FromSql>(&self, sql: &str) -> T {
        let database = Connection::open(self.database()).unwrap();
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn query(&self, sql: &str) -> i64 {
        self.value(sql)
    }

    fn total(&self, name: &str) -> i64 {
        self.query(&format!("SELECT value FROM totals WHERE name = '{name}'"))
    }

    /// What a dry run would free now, with a scan however old.
    fn planned(&self, now: &str, choice: &[&str]) -> i64 {
        let arguments = [&["prune"], choice, &["--max-scan-age", "9999d", "-f", "json"]].concat();
        let output = self.command(&arguments).env("REGSQL_NOW", now).output().unwrap();
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        plan["freed_bytes"].as_i64().unwrap()
    }
}

fn time(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string()
}

#[test]
fn what_comes_free_is_one_figure_and_the_plan_agrees_with_it_now_and_two_days_later() {
    let demo = Demo::new();
    let scanned_ns = demo.query("SELECT finished_ns FROM scan");
    for (days, is_young) in [(0, true), (2, false)] {
        let now_ns = scanned_ns + days * DAY_NS;
        let database = Connection::open(demo.database()).unwrap();
        database.execute("UPDATE scan SET finished_ns = ?1", [now_ns]).unwrap();
        drop(database);
        let now = time(now_ns);

        let garbage = demo.planned(&now, &["--garbage"]);
        let all = demo.planned(&now, &["untagged-revisions", "--garbage"]);
        assert_eq!(demo.total("garbage_now_bytes"), garbage, "after {days} days");
        assert_eq!(demo.total("reclaimable_now_bytes"), all, "after {days} days");
        assert_eq!(is_young, demo.total("reclaimable_bytes") > all, "after {days} days");

        // The other places read the same figures.
        let overview = demo.json(&["report", "overview"]);
        let row = overview.as_array().unwrap().iter().find(|row| row["figure"] == "all of these");
        assert_eq!(row.unwrap()["bytes"], demo.total("reclaimable_bytes"));
        let rows = demo.json(&["report", "garbage"]);
        let whole = rows.as_array().unwrap().last().unwrap();
        assert_eq!(whole["freed_bytes"], demo.total("reclaimable_bytes"));
        assert_eq!(whole["now_bytes"], all);
        let steps = demo.json(&["report", "next-steps"]);
        let step = |command: &str| {
            let rows = steps.as_array().unwrap().iter();
            rows.clone().find(|row| row["command"] == command).unwrap()["freed_bytes"].clone()
        };
        assert_eq!(step("regsql prune --garbage"), garbage);
        let metrics = demo.text(&["metrics"]);
        assert!(metrics.contains(&format!("regsql_reclaimable_now_bytes {all}\n")), "{metrics}");
    }
}

#[test]
fn a_plan_of_which_nothing_is_old_enough_says_what_comes_when() {
    let demo = Demo::new();
    let text = demo.text(&["prune", "orphan-blobs"]);
    assert!(
        text.contains("Nothing to delete yet\nWould free 0 B now, and 506.000 MiB more when"),
        "{text}"
    );
    assert!(text.contains("24 h old"), "{text}");
}

#[test]
fn a_plan_names_the_tags_that_go_and_the_bytes_of_each_repository() {
    let demo = Demo::new();
    let plan = ["prune", "keep-latest", "-p", "keep=1", "--min-age", "0s"];
    let text = demo.text(&plan);
    assert!(text.contains("Tags that go\n"), "{text}");
    assert!(text.contains("  shop/legacy/reports: 1.1, 1.2\n"), "{text}");
    let freed = demo.json(&plan)["freed_bytes"].as_i64().unwrap();
    let total = text.lines().find(|line| line.starts_with("total")).unwrap();
    assert!(total.contains(&regsql::ui::bytes(freed)), "the lines add up: {text}");
}

#[test]
fn a_team_frees_what_its_repositories_share_and_a_team_of_one_what_the_repository_does() {
    let demo = Demo::new();
    let teams = demo.json(&["report", "teams", "-p", "depth=9", "-p", "limit=all"]);
    for team in teams.as_array().unwrap() {
        let name = team["team"].as_str().unwrap();
        for figure in ["exclusive_bytes", "logical_bytes"] {
            let known = demo
                .query(&format!("SELECT {figure} FROM repositories WHERE repository = '{name}'"));
            assert_eq!(team[figure], known, "{figure} of {name}");
        }
    }
    // All together are one team: it frees everything but the orphans.
    let root = demo.value::<String>("SELECT root FROM scan_info");
    let repositories = Path::new(&root).join("docker/registry/v2/repositories");
    let aside = repositories.with_file_name("aside");
    fs::rename(&repositories, &aside).unwrap();
    fs::create_dir(&repositories).unwrap();
    fs::rename(&aside, repositories.join("all")).unwrap();
    assert!(demo.run(&["scan", &root]).status.success());
    let teams = demo.json(&["report", "teams"]);
    assert_eq!(teams[0]["exclusive_bytes"], demo.total("blob_bytes") - demo.total("orphan_bytes"));
    assert_eq!(teams[0]["shared_bytes"], 0);
}

#[test]
fn a_log_has_the_time_in_every_line_and_its_last_line_is_the_verdict() {
    let demo = Demo::new();
    let is_timed =
        |line: &str| line.len() > 20 && line.as_bytes()[10] == b'T' && line.as_bytes()[19] == b'Z';
    let act = ["prune", "--garbage", "--min-age", "0s", "--offline", "--delete", "--yes"];
    let output = demo.run(&act);
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(text.lines().all(is_timed), "{text}");
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.lines().last().unwrap().ends_with("exit code 0: done"), "{stderr}");
    // A night job that fails says why in the same place, and monitoring sees it.
    let failed = [&act[..], &["--before", "exit 7"]].concat();
    let output = demo.run(&failed);
    assert_eq!(output.status.code(), Some(0), "nothing is left to delete, so nothing was begun");
    let act = [
        "prune",
        "--target",
        "shop/api:5.0.0",
        "--min-age",
        "0s",
        "--offline",
        "--delete",
        "--yes",
    ];
    let failed = [&act[..], &["--before", "exit 7"]].concat();
    let output = demo.run(&failed);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap();
    assert!(last.contains("exit code 2: the command of --before failed"), "{stderr}");
    let metrics = demo.text(&["metrics"]);
    assert!(metrics.contains("regsql_last_prune_exit_code 2\n"), "{metrics}");
    // Of the deletion before it nothing is left to be taken for its own.
    assert!(metrics.contains("regsql_last_prune_complete 0\n"), "{metrics}");
    assert!(metrics.contains("regsql_last_prune_bytes 0\n"), "{metrics}");
}

#[test]
fn a_repository_is_explained_with_what_lives_on_in_others() {
    let demo = Demo::new();
    let text = demo.text(&["why", "shop/worker"]);
    assert!(text.contains("1 tag and 14 revisions, 13 of them untagged"), "{text}");
    assert!(text.contains("The other 61.223 MiB live on in:\n"), "{text}");
    let answer = demo.json(&["why", "shop/worker"]);
    let exclusive = "SELECT exclusive_bytes FROM repositories WHERE repository = 'shop/worker'";
    assert_eq!(answer["exclusive_bytes"], demo.query(exclusive));
    // What the nearest of them shares is what both reach: the base image.
    assert_eq!(answer["shared_with"][0]["repository"], "base/python");
    assert_eq!(answer["shared_with"][0]["tag"], "3.12");
    assert_eq!(answer["shared_with"][0]["shared_bytes"], 64_196_608);
}

#[test]
fn free_takes_garbage_first_and_its_plan_holds_both() {
    let demo = Demo::new();
    let without_tags = demo.total("reclaimable_bytes");
    // Garbage is enough.
    let goal = (without_tags / 2).to_string();
    let text = demo.text(&["free", &goal]);
    assert!(text.contains("No tag need go for that."), "{text}");
    assert_eq!(demo.json(&["free", &goal]), serde_json::json!([]));
    // A little more than that: one tag, and one plan that frees it all.
    let goal = (without_tags + 40_000_000).to_string();
    let save = ["free", &goal, "--from", "tags", "--save", "plan.json"];
    let tags = demo.json(&save);
    let freed: i64 =
        tags.as_array().unwrap().iter().map(|tag| tag["freed_bytes"].as_i64().unwrap()).sum();
    assert_eq!(tags.as_array().unwrap().len(), 1, "one tag is enough for the rest: {tags}");
    assert!(freed >= 40_000_000, "{tags}");
    let plan = demo.json(&["prune", "--plan", "plan.json", "--min-age", "0s"]);
    assert_eq!(plan["freed_bytes"].as_i64().unwrap(), without_tags + freed);
}

#[test]
fn another_storage_takes_the_place_of_a_scan_only_when_that_is_said() {
    let demo = Demo::new();
    let other = demo.directory.path().join("other");
    std::fs::create_dir_all(other.join("docker/registry/v2/blobs")).unwrap();
    std::fs::create_dir_all(other.join("docker/registry/v2/repositories")).unwrap();
    let tags = demo.query("SELECT count(*) FROM tags");
    let output = demo.run(&["scan", "other"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("is of another storage") && text.contains("--replace"), "{text}");
    assert_eq!(demo.query("SELECT count(*) FROM tags"), tags, "the scan is as it was");
    assert_eq!(demo.run(&["scan", "--replace", "other"]).status.code(), Some(0));
    assert_eq!(demo.query("SELECT count(*) FROM tags"), 0);
    // The other storage has not shrunk: its history begins now.
    assert_eq!(demo.json(&["report", "growth"]).as_array().map(Vec::len), Some(1));
    let grown = &demo.json(&["report", "growth"])[0]["grown_bytes"];
    assert!(grown.is_null(), "{grown}");
}

#[test]
fn what_is_too_young_is_one_phrase_with_what_the_same_choice_frees_later() {
    let demo = Demo::new();
    let choice = ["prune", "untagged-revisions", "keep-latest", "-p", "keep=1", "--garbage"];
    let all =
        demo.json(&[&choice[..], &["--min-age", "0s"]].concat())["freed_bytes"].as_i64().unwrap();
    let uploads = ["sql", "SELECT COALESCE(SUM(size_bytes), 0) AS bytes FROM uploads"];
    let uploads = demo.json(&uploads)[0]["bytes"].as_i64().unwrap();
    let now = demo.json(&choice)["freed_bytes"].as_i64().unwrap();
    let later = all - now;
    assert!(later > 0, "the demo has young images");
    let text = demo.text(&choice);
    let line = text.lines().find(|line| line.starts_with("Would free")).unwrap();
    // An upload is looked at with an age of its own.
    let shown =
        [later, later - uploads].map(|bytes| format!("{} more when", regsql::ui::bytes(bytes)));
    assert!(shown.iter().any(|shown| line.contains(shown)), "{later} {uploads}: {line}");
}

#[test]
fn garbage_of_which_there_is_none_does_not_contradict_the_overview() {
    let demo = Demo::new();
    let now = time(demo.query("SELECT finished_ns FROM scan") + 9 * DAY_NS);
    let mut act = demo.command(&["prune", "--garbage", "--offline", "--delete", "--yes"]);
    assert_eq!(act.env("REGSQL_NOW", &now).output().unwrap().status.code(), Some(0));
    let mut again = demo.command(&["prune", "--garbage"]);
    let output = again.env("REGSQL_NOW", &now).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Nothing to delete\n"), "{text}");
    let notes = String::from_utf8_lossy(&output.stderr);
    let count = demo.query("SELECT count(*) FROM revisions WHERE is_tagged = 0 AND is_held = 0");
    assert!(count > 0 && notes.contains(&format!("{count} untagged revision")), "{notes}");
    assert!(notes.contains("regsql prune untagged-revisions --garbage"), "{notes}");
}

/// A repository in which every image but the last has lost its only tag to the next.
fn rolling(registry: &mut RegistryBuilder, repository: &str) {
    images(registry, repository, &[&["latest"], &["latest"], &["latest"], &["1.0"]]);
}

/// Registries that differ in who keeps what and in what is young.
fn storages(directory: &Path) -> Vec<(&'static str, Demo)> {
    let mut uploads = RegistryBuilder::new();
    rolling(&mut uploads, "team/app");
    for (days, id) in [(1, "young"), (30, "old")] {
        uploads.at(days_ago(days));
        uploads.upload("team/app", id, 70_000, "2026-01-01T00:00:00Z");
    }
    let mut held = RegistryBuilder::new();
    rolling(&mut held, "team/app");
    rolling(&mut held, "team/web");
    held.manifest("team/web", "{ this is no manifest");
    held.blob("an orphan");
    let mut rooted = RegistryBuilder::new();
    rolling(&mut rooted, "team/app");
    let kept = rooted.blob(vec![7; 5_000]);
    rooted.blob(vec![8; 6_000]);
    rooted.at(days_ago(50));
    let layer = rooted.layer("pinned", 40_000);
    let pinned = rooted.image("team/app").layers([&layer]).push_tag("moved");
    let layer = rooted.layer("pinned no more", 50_000);
    rooted.image("team/app").layers([&layer]).push_tag("moved");
    let mut clean = RegistryBuilder::new();
    images(&mut clean, "team/app", &[&["1.0"], &["2.0"]]);
    let roots = directory.join("roots.csv");
    let rows = format!(
        "repository,tag,digest,kind\nteam/app,,{},manifest\n,,{},blob\n",
        pinned.digest, kept.digest
    );
    fs::write(&roots, rows).unwrap();
    vec![
        ("the demo", Demo::of(&demo_registry(days_ago(0)), &[])),
        ("uploads, one young and one old", Demo::of(&uploads, &[])),
        ("a revision that cannot be read, and holds", Demo::of(&held, &[])),
        ("roots", Demo::of(&rooted, &["--roots", roots.to_str().unwrap()])),
        ("nothing to delete", Demo::of(&clean, &[])),
    ]
}

/// The value of a series without labels.
fn metric(metrics: &str, name: &str) -> i64 {
    let start = format!("{name} ");
    let line = metrics.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no {name}"))[start.len()..].parse::<f64>().unwrap() as i64
}

#[test]
fn overview_free_page_totals_and_metrics_name_one_figure_and_the_plan_carries_it_out() {
    let directory = tempfile::tempdir().unwrap();
    for (name, demo) in storages(directory.path()) {
        let scanned_ns = demo.query("SELECT finished_ns FROM scan");
        for days in [0, 2] {
            let now_ns = scanned_ns + days * DAY_NS;
            let database = Connection::open(demo.database()).unwrap();
            database.execute("UPDATE scan SET finished_ns = ?1", [now_ns]).unwrap();
            drop(database);
            let now = time(now_ns);
            let told = format!("{name}, {days} days after the last write");
            let (whole, at_once) =
                (demo.total("reclaimable_bytes"), demo.total("reclaimable_now_bytes"));
            let size = |bytes: i64| regsql::ui::bytes(bytes);
            let later = size(whole - at_once);
            assert_eq!(demo.total("authority_suspected"), 0, "{told}");
            assert!(days == 0 || whole == at_once, "{told}: what is old can go");

            // Metrics, and the class of each byte.
            let metrics = demo.text(&["metrics"]);
            for total in ["reclaimable", "reclaimable_now", "garbage", "orphan", "untagged"] {
                let exported = metric(&metrics, &format!("regsql_{total}_bytes"));
                assert_eq!(exported, demo.total(&format!("{total}_bytes")), "{told}: {total}");
            }
            let parts = demo.total("garbage_bytes") + demo.total("untagged_bytes");
            assert_eq!(parts, whole, "{told}: no byte is in two classes");

            // The overview, and the report that it leads to.
            let overview = demo.json(&["report", "overview"]);
            let bytes = |figure: &str| {
                let mut rows = overview.as_array().unwrap().iter();
                let row = rows.find(|row| row["figure"] == figure);
                row.map(|row| row["bytes"].as_i64().unwrap_or(0))
            };
            assert_eq!(bytes("all of these").unwrap_or(0), whole, "{told}");
            if at_once < whole {
                assert_eq!(bytes("- now").unwrap_or(0), at_once, "{told}");
                assert_eq!(bytes("- when 24 h old"), Some(whole - at_once), "{told}");
            }
            let garbage = demo.json(&["report", "garbage"]);
            let last = garbage.as_array().unwrap().last().unwrap();
            assert_eq!(last["freed_bytes"].as_i64().unwrap_or(0), whole, "{told}");
            assert_eq!(last["now_bytes"].as_i64().unwrap_or(0), at_once, "{told}");

            // `free`, which says it in words.
            let text = demo.text(&["free", "1"]).split_whitespace().collect::<Vec<_>>().join(" ");
            let said = match (whole, whole - at_once) {
                (0, _) => "Report `keep-latest` names no tag.".to_owned(),
                (_, 0) => format!("{} come free without dropping a tag.", size(whole)),
                _ => format!(
                    "{} ({} now, and {later} more when it is 24 h old) come free without",
                    size(whole),
                    size(at_once)
                ),
            };
            assert!(text.contains(&said), "{told}: {said}: {text}");

            // The page.
            let page = demo.text(&["html", "-o", "-"]);
            let mut tiles = page.split("<div class=\"tile\">");
            let tile = tiles.find(|tile| tile.contains("\"#garbage\"")).unwrap_or_default();
            assert!(tile.contains(&format!("title=\"{whole} bytes\"")), "{told}: {tile:.400}");
            assert!(whole == 0 || tile.contains(&size(at_once)), "{told}: {tile:.400}");

            // What the plan frees now, and what it says of later.
            let all = demo.planned(&now, &["untagged-revisions", "--garbage"]);
            assert_eq!(all, at_once, "{told}");
            let steps = demo.json(&["report", "next-steps", "-p", "limit=all"]);
            let mut steps = steps.as_array().unwrap().iter();
            if let Some(step) = steps.find(|step| step["command"] == "regsql prune --garbage") {
                let garbage = demo.planned(&now, &["--garbage"]);
                assert_eq!(step["freed_bytes"].as_i64().unwrap_or(0), garbage, "{told}");
            }
        }
    }
}
