//! A person's own SQL: formats, limits, and what it cannot do.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use insta::assert_snapshot;

use crate::env::shown;
use crate::fixture::Fixture;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

#[test]
fn a_query_goes_out_in_every_format() {
    let fixture = Fixture::new();
    let run = |format: &str| {
        fixture.stdout(&[
            "sql", "-q", "-f", format,
            "SELECT repository, tag_count, exclusive_bytes, last_pushed_at FROM repositories ORDER BY 1",
        ])
    };
    assert_snapshot!(run("table"), @r#"
    repository  tags    exclusive  last pushed
    ────────────────────────────────────────────────
    team/app       3   51.009 MiB  2026-01-29 12:00Z
    team/model     2  200.002 MiB  2025-07-15 12:00Z
    tool/cli       1    2.734 KiB  2025-10-23 12:00Z
    zz/ghost       0          0 B

    4 rows · scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(run("json"), @r#"
    [
    {"repository":"team/app","tag_count":3,"exclusive_bytes":53486376,"last_pushed_at":"2026-01-29T12:00:00Z"},
    {"repository":"team/model","tag_count":2,"exclusive_bytes":209717400,"last_pushed_at":"2025-07-15T12:00:00Z"},
    {"repository":"tool/cli","tag_count":1,"exclusive_bytes":2800,"last_pushed_at":"2025-10-23T12:00:00Z"},
    {"repository":"zz/ghost","tag_count":0,"exclusive_bytes":0,"last_pushed_at":null}
    ]
    "#);
    assert_snapshot!(run("ndjson"), @r#"
    {"repository":"team/app","tag_count":3,"exclusive_bytes":53486376,"last_pushed_at":"2026-01-29T12:00:00Z"}
    {"repository":"team/model","tag_count":2,"exclusive_bytes":209717400,"last_pushed_at":"2025-07-15T12:00:00Z"}
    {"repository":"tool/cli","tag_count":1,"exclusive_bytes":2800,"last_pushed_at":"2025-10-23T12:00:00Z"}
    {"repository":"zz/ghost","tag_count":0,"exclusive_bytes":0,"last_pushed_at":null}
    "#);
    assert_snapshot!(run("csv"), @r#"
    repository,tag_count,exclusive_bytes,last_pushed_at
    team/app,3,53486376,2026-01-29T12:00:00Z
    team/model,2,209717400,2025-07-15T12:00:00Z
    tool/cli,1,2800,2025-10-23T12:00:00Z
    zz/ghost,0,0,
    "#);
    assert_snapshot!(run("tsv"), @r#"
    repository	tag_count	exclusive_bytes	last_pushed_at
    team/app	3	53486376	2026-01-29T12:00:00Z
    team/model	2	209717400	2025-07-15T12:00:00Z
    tool/cli	1	2800	2025-10-23T12:00:00Z
    zz/ghost	0	0
    "#);
    assert_snapshot!(run("markdown"), @r#"
    | repository | tags | exclusive | last pushed |
    |---|---:|---:|---|
    | team/app | 3 | 51.009 MiB | 2026-01-29 12:00Z |
    | team/model | 2 | 200.002 MiB | 2025-07-15 12:00Z |
    | tool/cli | 1 | 2.734 KiB | 2025-10-23 12:00Z |
    | zz/ghost | 0 | 0 B |  |

    4 rows · scan of 3 minutes ago, took 1.2 s
    "#);
}

#[test]
fn parameters_are_numbers_when_they_look_like_numbers() {
    assert_snapshot!(
        Fixture::new().run(&[
            "sql", "SELECT typeof(:a) AS a, typeof($b) AS b, :c AS c", "-p", "a=1", "-p", "b=1.5",
            "-p", "c=it's", "-f", "ndjson",
        ]),
        @r#"
    exit 0
    --- stdout
    {"a":"integer","b":"real","c":"it's"}
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn a_parameter_without_a_value_or_a_value_without_a_parameter_is_refused() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["sql", "SELECT :a"]), @r#"
    exit 2
    --- stderr
    error: the query uses parameter `:a`, which has no value
    hint: add -p a=VALUE
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELECT 1", "-p", "b=2"]), @r#"
    exit 2
    --- stderr
    error: the query does not use a parameter `:b`
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELECT 1", "-p", "b"]), @r#"
    exit 2
    --- stderr
    error: `b` is not of the form name=value
    hint: write -p name=value, once for each parameter
    "#);
}

#[test]
fn the_row_limit_says_that_it_cut() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["sql", ENDLESS, "--max-rows", "2", "-f", "json"]), @r#"
    exit 0
    --- stdout
    [
    {"i":1},
    {"i":2}
    ]
    --- stderr
    warning: cut after 2 rows; --max-rows 0 gives all of them
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(fixture.run(&["-q", "sql", ENDLESS, "--max-rows", "1", "-f", "csv"]), @r#"
    exit 0
    --- stdout
    i
    1
    --- stderr
    warning: cut after 1 rows; --max-rows 0 gives all of them
    "#);
    let all = fixture.stdout(&[
        "sql", "-q", "--max-rows", "0", "-f", "csv",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n",
    ]);
    assert_eq!(all.lines().count(), 20_001);
}

#[test]
fn the_time_limit_is_an_error_with_a_hint() {
    assert_snapshot!(
        Fixture::new().run(&[
            "sql", "--timeout", "50ms",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        ]),
        @"
    exit 2
    --- stdout
    no rows, cut · scan of 3 minutes ago, took 1.2 s
    --- stderr
    error: the query was stopped after 50 ms
    hint: ask for less, or give it longer with --timeout (0s for no limit)
    "
    );
}

#[test]
fn json_is_whole_even_when_the_query_fails_midway() {
    let fixture = Fixture::new();
    let output = fixture
        .command(&[
            "sql",
            "-f",
            "json",
            "SELECT 1 AS a UNION ALL SELECT abs(-9223372036854775807 - 1)",
        ])
        .output()
        .unwrap();
    assert_snapshot!(shown(&output), @r#"
    exit 2
    --- stdout
    [
    {"a":1}
    ]
    --- stderr
    error: the query failed: integer overflow
    "#);
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
}

#[test]
fn nothing_can_be_written_attached_or_loaded() {
    let fixture = Fixture::new();
    let before = std::fs::read(fixture.database()).unwrap();
    for sql in [
        "DELETE FROM tag",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('x')",
        "CREATE TEMP TABLE t (a)",
    ] {
        let shown = fixture.run(&["sql", sql]);
        assert!(shown.starts_with("exit 2\n"), "{sql}: {shown}");
    }
    assert_snapshot!(fixture.run(&["sql", "SELECT 1; DELETE FROM tag"]), @"
    exit 2
    --- stderr
    error: the query is refused: the database is read-only here, and it does more than read
    hint: only queries (and harmless pragmas such as table_info) run here; `regsql prune` deletes from the registry
    ");
    assert_snapshot!(fixture.run(&["sql", "DELETE FROM tag"]), @"
    exit 2
    --- stderr
    error: the query is refused: the database is read-only here, and it does more than read
    hint: only queries (and harmless pragmas such as table_info) run here; `regsql prune` deletes from the registry
    ");
    assert_eq!(std::fs::read(fixture.database()).unwrap(), before);
    let files: Vec<_> = std::fs::read_dir(fixture.directory()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn a_mistake_is_shown_at_its_place_with_what_was_meant() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["sql", "SELECT *\nFROM tgs"]), @r#"
    exit 2
    --- stderr
    error: the query is not valid SQL: no such table: tgs
    hint: did you mean `tags`? `regsql schema` lists the views
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELECT sise_bytes FROM blobs"]), @r#"
    exit 2
    --- stderr
    error: the query is not valid SQL: no such column: sise_bytes
      line 1: SELECT sise_bytes FROM blobs
                     ^
    hint: did you mean `size_bytes`?
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELEC 1"]), @r#"
    exit 2
    --- stderr
    error: the query is not valid SQL: near "SELEC": syntax error
      line 1: SELEC 1
              ^
    "#);
    assert_snapshot!(fixture.run(&["sql", ""]), @r#"
    exit 2
    --- stderr
    error: the query is empty
    hint: try `regsql sql 'SELECT * FROM totals'`
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELECT 1; SELECT 2"]), @r#"
    exit 2
    --- stderr
    error: the query holds more than one statement
    hint: run one statement at a time
    "#);
}

#[test]
fn a_query_comes_from_standard_input_or_a_file() {
    let fixture = Fixture::new();
    let mut child = fixture
        .command(&["sql", "-", "-q", "-f", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1 AS one;\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"one\n1\n");
    std::fs::write(fixture.directory().join("q.sql"), "-- mine\nSELECT 2 AS two").unwrap();
    assert_eq!(fixture.stdout(&["sql", "--file", "q.sql", "-q", "-f", "csv"]), "two\n2\n");
    assert_snapshot!(fixture.run(&["sql", "--file", "none.sql"]), @r#"
    exit 2
    --- stderr
    error: cannot read `none.sql`
      because: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_column_named_twice_and_a_blob_are_still_json() {
    assert_eq!(
        Fixture::new().stdout(&[
            "sql",
            "-q",
            "-f",
            "ndjson",
            "SELECT 1 AS a, x'00ff' AS a, NULL AS a"
        ]),
        "{\"a\":1,\"a_2\":\"00ff\",\"a_3\":null}\n"
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let fixture = Fixture::new();
    let mut child = fixture
        .command(&["sql", ENDLESS, "--max-rows", "0", "-f", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(shown(&output), "exit 0\n");
}

#[test]
fn ctrl_c_stops_a_query_and_keeps_its_rows_whole() {
    let fixture = Fixture::new();
    let mut child = fixture
        .command(&[
            "sql",
            "-f",
            "json",
            "--max-rows",
            "0",
            "--timeout",
            "0s",
            "SELECT 1 AS a UNION ALL SELECT * FROM (WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::env::interrupt(&child);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(shown(&output), "exit 130\n--- stderr\nerror: the query was stopped\n");
    assert_eq!(text, "[\n{\"a\":1}\n]\n");
}
