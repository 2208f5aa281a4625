//! The public names of a version are there in the next ones, or the changelog says what took their
//! place: views and columns, reports and their columns, their parameters with defaults and values,
//! commands and options, codes of findings, metrics, exit codes.
//!
//! `frozen/VERSION.txt` was made from that version's docs, which its own tests kept fresh.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use crate::env::{interrupt, regsql_in, shown};

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

/// The default of a parameter, and the words that it takes, by its row.
fn values(name: &str, row: &str) -> Vec<String> {
    // A bar within a cell is escaped.
    let row = row.replace("\\|", "\0");
    let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
    let [_, _, kind, default, ..] = cells[..] else { panic!("{row}") };
    let words = kind.split('\0').map(|word| format!("{name} takes {word}"));
    let words = words.filter(|_| kind.contains('\0'));
    words.chain([format!("{name} = {default}")]).collect()
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
            let name = format!("report {at} {what} {name}");
            if what == "parameter" {
                names.extend(values(&name, line));
            }
            names.insert(name);
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
    assert!(frozen.lines().count() > 800);
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

    let directory = tempfile::tempdir().unwrap();
    let command = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = regsql_in(directory.path(), &words);
        command.env("REGSQL_DB", "d/registry.db");
        command
    };
    // The sample has a tag that cannot be pulled.
    let runs = [
        (0, "demo d"),
        (0, "scan d/registry"),
        (0, "report"),
        (0, "report broken-images"),
        (0, "sql SELECT(1)"),
        (0, "why shop/web"),
        (0, "free 1KiB"),
        (0, "metrics"),
        (0, "schema"),
        (0, "html -o page.html"),
        (0, "man --out man"),
        (0, "completions bash"),
        (0, "trash list --storage d/registry"),
        (0, "trash purge --storage d/registry --yes"),
        (0, "prune untagged-revisions --garbage"),
        (1, "verify"),
        (1, "prune --garbage --min-age 0s --max-delete-percent 1 --offline --delete --yes"),
        (0, "prune --garbage --min-age 0s --max-delete-percent 99 --offline --delete --yes"),
        (0, "undo"),
        (2, "undo"),
        (2, "frobnicate"),
        (2, "report frobnicate"),
        (2, "report tags --frobnicate"),
        (2, "report tags -p limit=x"),
        (2, "sql SELEC"),
        (2, "why no/such:tag"),
        (2, "prune"),
        (2, "scan nowhere"),
        (2, "--db nowhere.db report"),
    ];
    for (code, line) in runs {
        let output = command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "regsql {line}\n{}", shown(&output));
        // 1 and 2 never come without the line that says why.
        assert!(code == 0 || !output.stderr.is_empty(), "regsql {line}");
    }
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let mut query = command("sql --timeout 0s");
    let query = query.arg(endless).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    interrupt(&query);
    assert_eq!(query.wait_with_output().unwrap().status.code(), Some(130));
}
