//! The command line around the commands: databases that cannot be used, usage errors, colour.

use insta::assert_snapshot;

use crate::fixture::Fixture;

#[test]
fn a_database_that_is_not_there_or_not_ours_is_named_with_a_hint() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["--db", "none.db", "report"]), @r#"
    exit 2
    --- stderr
    error: no database at `none.db`
    hint: make one with `regsql scan STORAGE`, or name it with --db
    "#);
    std::fs::write(fixture.directory().join("text.db"), "hello, this is no database").unwrap();
    assert_snapshot!(fixture.run(&["report", "--db", "text.db"]), @r#"
    exit 2
    --- stderr
    error: `text.db` is not a regsql database
    hint: name another file with --db; regsql writes only to its own
    "#);
}

#[test]
fn the_environment_names_the_database_and_the_reports() {
    let fixture = Fixture::new();
    let output = fixture.command(&["report"]).env("REGSQL_DB", "other.db").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = fixture.command(&["report"]).env("REGSQL_REPORTS", "nowhere").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("`nowhere`"));
}

#[test]
fn a_usage_error_is_two() {
    assert_snapshot!(Fixture::new().run(&["sql", "--timeout", "5", "SELECT 1"]), @r#"
    exit 2
    --- stderr
    error: invalid value '5' for '--timeout <TIME>': expected a time such as 0s, 90s, 10m, 24h or 7d

    For more information, try '--help'.
    "#);
}

#[test]
fn quiet_says_nothing_but_data() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["sql", "SELECT 1 AS a", "-f", "json"]), @r#"
    exit 0
    --- stdout
    [
    {"a":1}
    ]
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(fixture.run(&["sql", "SELECT 1 AS a", "-f", "json", "-q"]), @r#"
    exit 0
    --- stdout
    [
    {"a":1}
    ]
    "#);
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    let fixture = Fixture::new();
    let arguments = |when| ["--color", when, "report", "problems"];
    assert!(fixture.stdout(&arguments("always")).contains("\u{1b}[1m"));
    assert!(!fixture.stdout(&arguments("auto")).contains('\u{1b}'));
    assert!(!fixture.stdout(&arguments("never")).contains('\u{1b}'));
}

#[test]
fn the_schema_is_shown_view_by_view() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["schema", "uploads"]), @r#"
    exit 0
    --- stdout
    uploads: Every upload that was begun and not finished.

    column      unit   meaning
    ────────────────────────────────────────────────────────────────────────────
    repository  text   the repository
    upload_id   text   the upload's directory name
    size_bytes  bytes  bytes received so far
    started_at  time   from its `startedat`; NULL when that cannot be read (UTC)
    active_at   time   the newest of `startedat` and its files' times (UTC)

    5 rows
    "#);
    assert_snapshot!(fixture.run(&["schema", "tag"]), @r#"
    exit 2
    --- stderr
    error: there is no view `tag`
    hint: did you mean `tags`?
    "#);
    let all = fixture.stdout(&["schema", "--format", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&all).unwrap();
    assert!(rows.iter().any(|row| row["view"] == "tags" && row["column"] == "version_key"));
}

#[test]
fn what_is_longer_than_the_screen_goes_through_a_pager_and_nothing_else_does() {
    let fixture = Fixture::new();
    let paged = |rows, command: &str| {
        let command = format!("export PAGER='sed s/^/p:/'; {command}");
        let text = fixture.screen(80, Some(rows), &command);
        let (paged, plain): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.starts_with("p:"));
        (paged.len(), plain.len())
    };
    let (all, none) = paged(10, "regsql report");
    assert!(all > 10 && none == 0, "{all} {none}");
    assert_eq!(paged(all as u16 + 1, "regsql report"), (0, all), "all of it fits");
    assert_eq!(paged(10, "regsql report --no-pager"), (0, all));
    assert_eq!(paged(10, "regsql report | cat"), (0, paged(10, "regsql report | cat").1));
    assert_eq!(paged(10, "PAGER= regsql report"), (0, all));
    assert_eq!(paged(10, "PAGER=no-such-pager regsql report"), (0, all), "nothing is lost");
    assert_eq!(paged(10, "PAGER='head -n 3 | sed s/^/p:/' regsql report"), (3, 0), "closed early");
}
