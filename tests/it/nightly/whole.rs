//! A night in which nothing goes wrong.

use super::{Night, STEPS, purged};
use crate::monitoring::promtool::check_metrics;

#[test]
fn a_night_stops_deletes_purges_starts_looks_and_tells_in_this_order() {
    let night = Night::new();
    night.write_config(|text| purged(&text));
    let text = night.ends(0, &[]);
    assert_eq!(night.events(), "begin stop start end", "{text}");
    assert_eq!(night.steps(), STEPS.map(|step| format!("{step} done")), "{text}");
    assert!(night.is_pruned(), "{text}");
    night.assert_whole();

    let summary = night.summary();
    assert_eq!(summary["exit_code"], 0);
    assert_eq!(summary["deleted"]["counts"]["revisions"], 1);
    assert_eq!(summary["check"]["pulled_count"], 3, "{summary:#}");
    assert!(summary["check"]["pulled_bytes"].as_u64().unwrap() > 140_000, "{summary:#}");
    assert!(summary["purged_bytes"].as_u64().unwrap() > 44_000, "{summary:#}");
    assert!(summary["down_ms"].as_i64().unwrap() > 0);
    assert!(text.contains("Pulled 3 tags whole"), "{text}");

    // The log has a time on each line of its own, what each step ran, and how it ended.
    let log = night.text("log");
    for line in log.lines() {
        let time = line.split(' ').next().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
    for part in ["running: cd ", "running: regsql prune ", "prune: done after", "exit code 0: done"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    // The last line is the verdict of the night, and of nothing that ran in it.
    let last: Vec<&str> = log.lines().rev().take(2).collect();
    assert!(last[0].ends_with(" exit code 0: done"), "{log}");
    assert!(last[1].contains(" downtime-end: done after "), "{log}");
    // Beside the metrics of the snapshot.
    let metrics = night.text("regsql.prom");
    check_metrics(&metrics);
    assert!(metrics.contains("\nregsql_nightly_exit_code 0\n"), "{metrics}");
    assert!(metrics.contains("regsql_nightly_step_success{step=\"prune\"} 1"), "{metrics}");
    assert!(metrics.contains("\nrepository_tags_total{"), "{metrics}");

    // A second night finds nothing, and the registry goes through the same.
    let text = night.ends(0, &[]);
    assert!(text.contains("Nothing to delete"), "{text}");
    night.assert_whole();
}

#[test]
fn a_registry_can_go_on_serving_pulls_while_it_is_read_only() {
    let night = Night::new();
    night.write_config(|text| {
        let text = text.replace("stop = ", "read_only = ").replace("start = ", "read_write = ");
        text.replace("sh ./stop", "sh ./stop && sh ./start readonly.yml && sleep 0.5")
            .replace("sh ./start\"", "sh ./stop && sh ./start\"")
    });
    let text = night.ends(0, &[]);
    assert!(text.contains("is read-only"), "the probe saw it: {text}");
    assert!(night.is_pruned(), "{text}");
    night.assert_whole();
    // When the way back is missing, the check says so although pulls work.
    night.write_config(|text| {
        let text = text.replace("stop = ", "read_only = ").replace("start = ", "read_write = ");
        text.replace("sh ./stop", "sh ./stop && sh ./start readonly.yml && sleep 0.5")
            .replace("sh ./start\"", "true\"")
    });
    let text = night.ends(2, &[]);
    assert!(text.contains("the registry takes no pushes: it is still read-only"), "{text}");
    assert!(text.contains("next: THE REGISTRY MAY BE DOWN"), "{text}");
}

#[test]
fn a_dry_run_shows_each_step_and_changes_nothing() {
    let night = Night::new();
    night.write_config(|text| {
        text.replace("garbage = true", "garbage = true\npurge_older_than = \"7d\"")
    });
    let before = night.tree();
    let text = night.ends(0, &["--dry-run"]);
    for step in STEPS {
        assert!(text.lines().any(|line| line.trim_start().starts_with(step)), "{step}: {text}");
    }
    assert!(text.contains("would run: regsql prune"), "{text}");
    assert!(
        text.contains("\n  stop            would run: ") && !text.contains("after 0 ms"),
        "{text}"
    );
    assert!(text.contains("would delete") && text.contains("pull 20 tags whole"), "{text}");
    before.assert_same(&night.tree(), "after the dry run");
    for name in ["events", "registry.db", "registry.db.nightly", "log", "last.json", "regsql.prom"]
    {
        assert!(!night.path(name).exists(), "{name}");
    }
    assert!(!night.path("registry/.regsql").exists());
}

#[test]
fn reports_take_parameters_of_their_own_and_little_is_not_worth_a_stop() {
    let night = Night::new();
    night.write_config(|text| {
        text.replace(
            "\"untagged-revisions\"",
            "\"keep-latest keep=1\", \"older-than days=0 keep=2\"",
        )
        .replace("garbage = true", "only_if_frees = \"1TiB\"")
    });
    let text = night.ends(0, &[]);
    assert!(text.contains("the registry is not stopped"), "{text}");
    assert_eq!(night.events(), "", "{text}");
    night.write_config(|text| {
        text.replace(
            "\"untagged-revisions\"",
            "\"keep-latest keep=1\", \"older-than days=0 keep=2\"",
        )
    });
    let text = night.ends(0, &["--dry-run"]);
    assert!(text.contains("report `keep-latest` names 2 rows"), "{text}");
    assert!(text.contains("report `older-than` names 1 row,"), "{text}");
}
