//! The public names of a version are there in the next ones, or the changelog says what took their
//! place: views and columns, reports and their parameters and columns, commands and options, codes of
//! findings, metrics, exit codes.
//!
//! `frozen/VERSION.txt` was made from that version's docs, which its own tests kept fresh.

use std::collections::BTreeSet;
use std::path::Path;

/// Names of 0.1.0 that are gone, and what the changelog says of each.
const BROKEN: &[(&str, &str)] = &[(
    "report keep-latest column newer_tag_count",
    "the column `newer_tag_count` is `newer_image_count`",
)];

const GLOBAL: [&str; 9] =
    ["--db", "--quiet", "-q", "--verbose", "-v", "--color", "--log-time", "--no-pager", "--help"];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

/// What stands in the first cell of a table's row.
fn cell(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name)
}

/// The public names in the docs of today.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = "";
    let schema = page("docs/schema.md");
    for line in schema.lines() {
        if let Some(view) = line.strip_prefix("## ") {
            at = view;
            names.insert(format!("view {view}"));
        } else if let Some(column) = cell(line) {
            names.insert(format!("view {at}.{column}"));
        }
    }
    let (reports, mut what) = (page("docs/reports.md"), "");
    for line in reports.lines() {
        if let Some(report) = line.strip_prefix("## ") {
            at = report;
            names.insert(format!("report {report}"));
        } else if line.starts_with("| parameter |") {
            what = "parameter";
        } else if line.starts_with("| column |") {
            what = "column";
        } else if let Some(name) = cell(line) {
            names.insert(format!("report {at} {what} {name}"));
        }
    }
    let cli = page("docs/cli.md");
    for line in cli.lines() {
        let heading = line.trim_start_matches('#').trim_start();
        if line.starts_with("##") && heading.starts_with("regsql") {
            at = heading;
            names.insert(format!("command {at}"));
        } else if line.starts_with(' ') {
            let words = line.split([' ', ',']).filter(|word| !word.is_empty());
            for word in words.take_while(|word| word.starts_with('-')) {
                let option = word.split(['[', '=']).next().unwrap();
                names.insert(format!("option {at} {option}"));
            }
        }
    }
    for line in page("docs/findings.md").lines() {
        if let Some(code) = line.strip_prefix("## ") {
            names.insert(format!("finding {code}"));
        }
    }
    for word in page("docs/monitoring.md").split('`').skip(1).step_by(2) {
        let name: String =
            word.chars().take_while(|char| char.is_ascii_lowercase() || *char == '_').collect();
        if name.starts_with("regsql_") || name.starts_with("repository_") {
            names.insert(format!("metric {name}"));
        }
    }
    names
}

#[test]
fn names_of_0_1_0_are_kept_or_the_changelog_says_what_took_their_place() {
    let now = names();
    let frozen = include_str!("frozen/0.1.0.txt");
    assert!(frozen.lines().count() > 700);
    // Options of every command stood with each of them, and have a heading of their own now.
    let is_global = |name: &str| {
        let option = name.strip_prefix("option regsql ").and_then(|rest| rest.rsplit(' ').next());
        option.is_some_and(|option| {
            GLOBAL.contains(&option) && now.contains(&format!("option regsql {option}"))
                || option == "-h"
        })
    };
    let gone: Vec<&str> = frozen
        .lines()
        .filter(|name| !now.contains(*name) && !is_global(name))
        .filter(|name| !BROKEN.iter().any(|(broken, _)| broken == name))
        .collect();
    assert!(gone.is_empty(), "public names that are gone:\n{}", gone.join("\n"));
    let changelog = page("CHANGELOG.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, said) in BROKEN {
        assert!(!now.contains(*name), "{name} is back: strike it");
        assert!(frozen.lines().any(|line| line == *name), "{name}");
        assert!(
            changelog.to_lowercase().contains(said),
            "CHANGELOG.md does not say of {name}: {said}"
        );
    }
}

#[test]
fn exit_codes_are_those_of_0_1_0() {
    let cli = page("docs/cli.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(cli.contains("Exit codes: 0 done; 1 findings; 2 error or usage; 130 interrupted."));
}
