//! The alert rules, the dashboard and the page about them: sound, and about metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use regsql::commands::Cli;
use regsql::export::{NightFigures, NightStep, render_night};
use serde_json::Value;

use super::exporter::{Exporter, storage};
use super::promtool::{names, promtool};
use crate::fixture::Fixture;

fn text_of(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every expression of the dashboard, for all instances.
pub fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text_of("dist/grafana/regsql.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$instance", ".*")).collect()
}

/// What `regsql metrics` and `regsql serve` give.
fn all_names() -> BTreeSet<String> {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1h"]);
    exporter.wait_until_ready();
    exporter.wait_until("regsql_last_scan_success", |value| value >= 1.0);
    let mut all: BTreeSet<String> = names(&exporter.get("/metrics").1).into_iter().collect();
    all.extend(names(&Fixture::new().stdout(&["metrics"])));
    // What `regsql nightly` writes beside them.
    let steps = vec![NightStep { name: "scan", duration_ms: 1, is_done: true }];
    all.extend(names(&render_night(&NightFigures { steps, ..NightFigures::default() })));
    all
}

/// Words of `text` that look like a metric of ours.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = text.split(|char| !is_part(char));
    let ours = |word: &&str| word.starts_with("regsql_") || word.starts_with("repository_");
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn promtool_takes_the_alert_rules_and_each_fires_when_it_should_and_only_then() {
    promtool(&["check", "rules", "dist/prometheus/regsql.rules.yml"]);
    promtool(&["test", "rules", "tests/it/monitoring/rules.test.yml"]);
}

#[test]
fn every_alert_has_a_test_and_a_line_in_the_docs() {
    let (tests, docs) =
        (text_of("tests/it/monitoring/rules.test.yml"), text_of("docs/monitoring.md"));
    let rules = text_of("dist/prometheus/regsql.rules.yml");
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        assert!(tests.contains(alert), "tests/it/monitoring/rules.test.yml lacks {alert}");
        assert!(docs.contains(&format!("| `{alert}` |")), "docs/monitoring.md lacks {alert}");
    }
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_are_exported_and_the_docs_name_all() {
    let all = all_names();
    let dashboard = dashboard_expressions();
    assert!(dashboard.len() > 20);
    let rules = text_of("dist/prometheus/regsql.rules.yml");
    let rules: String =
        rules.lines().filter(|line| !line.contains("description:")).collect::<Vec<_>>().join("\n");
    for (place, used) in [("rules", named(&rules)), ("dashboard", named(&dashboard.join("\n")))] {
        let unknown: Vec<_> = used.difference(&all).collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?} is exported by nobody");
    }
    let docs = text_of("docs/monitoring.md");
    let documented: BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
        .filter(|name| name.starts_with("regsql_") || name.starts_with("repository_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, all, "docs/monitoring.md and the exporter differ");
}

/// The blocks of docs/monitoring.md in a language.
fn blocks(language: &str) -> Vec<String> {
    let page = text_of("docs/monitoring.md");
    let opening = format!("\n```{language}\n");
    let opened = page.split(&opening).skip(1);
    opened.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_manifests_of_the_docs_are_yaml_and_every_command_in_the_docs_is_one() {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    for block in blocks("yaml") {
        let yaml: Value =
            serde_saphyr::from_str(&block).unwrap_or_else(|error| panic!("{error}:\n{block}"));
        let containers = yaml.pointer("/spec/template/spec/containers/1/args");
        commands.extend(containers.map(words));
        commands.extend(yaml.pointer("/services/regsql/command").map(words));
    }
    assert_eq!(commands.len(), 2, "the sidecar and the compose file");
    let shell = [blocks("ini"), blocks("sh"), blocks("console")].concat().join("\n");
    for line in shell.lines() {
        let line = line.strip_suffix(" &&").unwrap_or(line);
        if let Some((before, rest)) = line.split_once("regsql --db")
            && (before.is_empty() || before.ends_with('/') || before == "$ ")
        {
            commands.push(format!("--db{rest}").split(' ').map(str::to_owned).collect());
        }
    }
    assert_eq!(commands.len(), 6);
    for command in commands {
        let line = command.join(" ");
        let parsed = Cli::try_parse_from(std::iter::once("regsql".to_owned()).chain(command));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}
