//! What every report must be, whatever it tells: the rules of a `.sql` file in `queries/`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use regsql::report::{Catalog, Param, ParamKind, Report};
use rusqlite::Connection;

use crate::fixture::{Fixture, digest};

fn catalog() -> Catalog {
    Catalog::built_in()
}

/// What must be given, is.
fn required(report: &Report) -> Vec<(&str, String)> {
    let is_required = |param: &&Param| param.default.is_none();
    report
        .header
        .params
        .iter()
        .filter(is_required)
        .map(|param| match param.kind {
            ParamKind::Digest => (param.name.as_str(), digest(1)),
            ParamKind::Text if param.name == "image" => {
                (param.name.as_str(), "team/app:1.10.0".to_owned())
            }
            ParamKind::Text => (param.name.as_str(), "team/app".to_owned()),
            _ => panic!("{} needs {}", report.name, param.name),
        })
        .collect()
}

/// `regsql report NAME` with only what must be given, and `more`.
fn run(fixture: &Fixture, report: &Report, format: &str, more: &[&str]) -> String {
    let mut given: Vec<String> =
        required(report).iter().map(|(name, value)| format!("{name}={value}")).collect();
    given.extend(more.iter().map(|text| (*text).to_owned()));
    let mut arguments = vec!["report", &report.name, "-q", "--format", format];
    for text in &given {
        arguments.extend(["-p", text]);
    }
    fixture.stdout(&arguments)
}

/// Reports about an export of roots: they have rows where a scan was given one.
const ABOUT_ROOTS: &[&str] = &["unknown-blobs", "missing-blobs", "unknown-revisions"];

/// The fixture of a report.
fn fixture_of(report: &Report, is_reversed: bool) -> Fixture {
    match (ABOUT_ROOTS.contains(&report.name.as_str()), is_reversed) {
        (true, _) => Fixture::with_roots(is_reversed),
        (false, true) => Fixture::reversed(),
        (false, false) => Fixture::new(),
    }
}

#[test]
fn every_report_runs_unchanged_in_the_stock_shell_with_the_same_rows() {
    for report in catalog().reports() {
        let fixture = fixture_of(report, false);
        let mut shell = Command::new("sqlite3")
            .args(["-batch", "-bail", "-readonly", "-json"])
            .arg(fixture.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stock sqlite3 shell is installed");
        let mut stdin = shell.stdin.take().unwrap();
        if !required(report).is_empty() {
            // `.parameter` keeps its table in temp, which -readonly allows.
            writeln!(stdin, ".parameter init").unwrap();
        }
        for (name, value) in required(report) {
            writeln!(stdin, ".parameter set :{name} '{value}'").unwrap();
        }
        writeln!(stdin, "{}\n;", report.sql).unwrap();
        drop(stdin);
        let output = shell.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", report.name);
        let theirs = String::from_utf8(output.stdout).unwrap();
        let parse = |text: &str| -> serde_json::Value {
            serde_json::from_str(if text.trim().is_empty() { "[]" } else { text })
                .unwrap_or_else(|error| panic!("{}: {error}: {text}", report.name))
        };
        assert_eq!(parse(&theirs), parse(&run(&fixture, report, "json", &[])), "{}", report.name);
    }
}

/// Reports that only speak of what the fixture has not; tests/it/retention shows their rows.
const NOTHING_ON_THE_FIXTURE: &[&str] =
    &["equal-times", "not-pulled", "base-images", "derived-images", "churn", "dead-tag-history"];

#[test]
fn every_report_gives_rows_on_the_fixture_and_the_same_when_rows_were_inserted_in_reverse() {
    for report in catalog().reports() {
        let (forward, reverse) = (fixture_of(report, false), fixture_of(report, true));
        // No repository of the fixture has more than five versions.
        let more: &[&str] = if report.name == "keep-latest" { &["keep=1"] } else { &[] };
        let rows = run(&forward, report, "json", more);
        let is_empty = rows == "[]\n";
        let has_nothing = NOTHING_ON_THE_FIXTURE.contains(&report.name.as_str());
        assert_eq!(is_empty, has_nothing, "{} on the fixture", report.name);
        assert_eq!(rows, run(&reverse, report, "json", more), "{}", report.name);
    }
}

#[test]
fn every_report_is_one_reading_statement_with_the_columns_and_parameters_it_declares() {
    let fixture = Fixture::new();
    let connection = Connection::open(fixture.database()).unwrap();
    for report in catalog().reports() {
        let statement = connection
            .prepare(&report.sql)
            .unwrap_or_else(|error| panic!("{}: {error}", report.name));
        assert!(statement.readonly(), "{} writes", report.name);
        let declared: Vec<&str> =
            report.header.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(statement.column_names(), declared, "{}", report.name);
        let mut used: Vec<&str> = (1..=statement.parameter_count())
            .map(|index| statement.parameter_name(index).unwrap().trim_start_matches(':'))
            .collect();
        let mut params: Vec<&str> =
            report.header.params.iter().map(|param| param.name.as_str()).collect();
        used.sort_unstable();
        params.sort_unstable();
        assert_eq!(used, params, "{}", report.name);
    }
}

#[test]
fn every_report_says_what_it_tells_what_each_column_is_and_what_each_parameter_does() {
    for report in catalog().reports() {
        let header = &report.header;
        assert!(!header.summary.is_empty() && !header.prose.is_empty(), "{}", report.name);
        for column in &header.columns {
            assert!(!column.meaning.is_empty(), "{} {}", report.name, column.name);
            let suffixed = regsql::report::Unit::of_column_named(&column.name);
            if suffixed != regsql::report::Unit::Text {
                assert_eq!(column.unit, suffixed, "{} {}", report.name, column.name);
            }
        }
        for param in &header.params {
            assert!(!param.meaning.is_empty(), "{} {}", report.name, param.name);
        }
        assert!(report.sql.contains("ORDER BY"), "{} has no order", report.name);
    }
}

#[test]
fn no_report_reads_a_large_table_without_an_index_unless_this_list_says_why() {
    // Tables that grow with the storage; a report that must read all of one is named here.
    let allowed: &[(&str, &str)] = &[
        ("orphan-referrers", "manifest"),
        ("derived-images", "manifest"),
        ("unknown-blobs", "blob"),
        ("unknown-revisions", "revision"),
        ("dangling-links", "layer_link"),
        ("unneeded-links", "layer_link"),
    ];
    let fixture = Fixture::new();
    let connection = Connection::open(fixture.database()).unwrap();
    for report in catalog().reports() {
        let mut statement =
            connection.prepare(&format!("EXPLAIN QUERY PLAN {}", strip(&report.sql))).unwrap();
        let plan: Vec<String> = statement
            .raw_query()
            .mapped(|row| row.get(3))
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        for step in plan {
            let Some(table) = step.strip_prefix("SCAN ") else {
                continue;
            };
            let is_indexed = step.contains("INDEX");
            let alias = table.split(' ').next().unwrap();
            for name in ["blob", "manifest", "reference", "referenced_by", "revision", "layer_link"]
            {
                let is_table = alias == name
                    || report.sql.contains(&format!("FROM {name} {alias}\n"))
                    || report.sql.contains(&format!("JOIN {name} {alias} "));
                assert!(
                    !is_table || is_indexed || allowed.contains(&(report.name.as_str(), name)),
                    "{} reads all of {name}: {step}",
                    report.name
                );
            }
        }
    }
}

#[test]
fn every_command_that_a_report_names_as_the_next_step_exists() {
    let catalog = catalog();
    for report in catalog.reports() {
        for step in &report.header.next {
            let words: Vec<&str> = step.command.split(' ').collect();
            if let Err(error) = regsql::commands::command_line().try_get_matches_from(&words) {
                panic!("{}: {}: {error}", report.name, step.command);
            }
            if words[1] == "report" {
                catalog.get(words[2]).unwrap();
            }
        }
    }
}

/// Without the header: EXPLAIN must stand in front of the statement.
fn strip(sql: &str) -> String {
    sql.lines().skip_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_digest_that_is_not_there_is_null() {
    let fixture = Fixture::new();
    let digests: Vec<(String, String)> = view_columns(&fixture)
        .into_iter()
        .filter(|(_, column)| column.ends_with("digest"))
        .collect();
    assert!(digests.len() > 10, "{digests:?}");
    for (view, column) in digests {
        let sql = format!("SELECT count(*) FROM {view} WHERE {column} = 'sha256:'");
        let found = fixture.stdout(&["-q", "sql", &sql, "--format", "csv"]);
        assert_eq!(found.lines().last(), Some("0"), "{view}.{column}");
    }
}

/// Every column of every public view.
fn view_columns(fixture: &Fixture) -> Vec<(String, String)> {
    let connection = Connection::open(fixture.database()).unwrap();
    let sql = "SELECT v.name, c.name FROM sqlite_schema v, pragma_table_info(v.name) c \
        WHERE v.type = 'view'";
    let mut select = connection.prepare(sql).unwrap();
    let columns = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    columns.map(Result::unwrap).collect()
}

#[test]
fn a_digest_that_is_not_known_is_null_and_not_half_a_digest() {
    let fixture = Fixture::changed_by(
        "UPDATE tag SET manifest_id = NULL, is_broken = 1; UPDATE manifest SET config_blob_id = NULL;
         INSERT INTO unreadable_root VALUES (1, 'storage', NULL, NULL, 'directory-unreadable', 'x')",
    );
    for view in ["tags", "manifests", "unreadable_roots"] {
        let rows =
            fixture.stdout(&["sql", "-q", "--format", "json", &format!("SELECT * FROM {view}")]);
        assert!(!rows.contains("\"sha256:\""), "{view}: {rows}");
    }
    for report in catalog().reports() {
        let rows = run(&fixture, report, "json", &[]);
        assert!(!rows.contains("\"sha256:\""), "{}: {rows}", report.name);
    }
}

#[test]
fn sizes_that_are_more_than_any_number_together_end_no_report_no_view_and_no_page() {
    // Sparse files may claim any size, and so may what a manifest says of a layer.
    let fixture = Fixture::new();
    let connection = Connection::open(fixture.database()).unwrap();
    let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
        WHERE t.type = 'table' AND c.name LIKE '%bytes'";
    let mut select = connection.prepare(sql).unwrap();
    let columns = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let columns: Vec<(String, String)> = columns.map(Result::unwrap).collect();
    assert!(columns.len() > 15, "{columns:?}");
    for (table, column) in columns {
        let set = format!("UPDATE {table} SET {column} = 9223372036854775807");
        connection.execute_batch(&set).unwrap_or_else(|error| panic!("{set}: {error}"));
    }
    let set = "UPDATE total SET value = 9223372036854775807 WHERE name LIKE '%bytes'";
    connection.execute_batch(set).unwrap();
    for report in catalog().reports() {
        run(&fixture, report, "json", &[]);
    }
    let views: BTreeSet<String> =
        view_columns(&fixture).into_iter().map(|(view, _)| view).collect();
    for view in views {
        fixture.stdout(&["sql", "-q", "--format", "json", &format!("SELECT * FROM {view}")]);
    }
    for command in [
        &["metrics"][..],
        &["free", "1GB"],
        &["html", "--output", "-"],
        &["why", "team/app:1.10.0"],
    ] {
        let text = fixture.stdout(&[command, &["-q"]].concat());
        assert!(!text.contains("e18"), "{command:?}: {text}");
    }
}
