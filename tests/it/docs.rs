//! Docs that are made from the program are as fresh as it is. `REGSQL_UPDATE=1 cargo test docs`
//! writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use regsql::model::Code;
use regsql::report::{Catalog, reports_markdown};

use crate::fixture::Fixture;

fn check(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("REGSQL_UPDATE").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == fresh,
        "docs/{name} is stale: run `REGSQL_UPDATE=1 cargo test docs` and look at the difference"
    );
}

#[test]
fn docs_reports_is_what_the_reports_say_of_themselves() {
    check("reports.md", &reports_markdown(&Catalog::built_in()));
}

#[test]
fn docs_schema_is_what_the_views_say_of_themselves() {
    let preface = "<!-- Made from migrations/views.sql by `REGSQL_UPDATE=1 cargo test docs`; a test keeps it fresh. -->\n\
        # Views\n\n\
        The database is a plain SQLite file. These views are its public face: they keep their names and\n\
        columns, and need no function that the stock `sqlite3` shell (3.40 or later) lacks. The tables behind\n\
        them may change with any version. `regsql schema` prints the same.\n\n\
        Times are RFC 3339 in UTC, sizes are bytes, flags are 1 and 0. Ids are not shown: join on digests\n\
        and names.\n\n";
    let views = Fixture::new().stdout(&["schema", "--format", "markdown"]);
    check("schema.md", &format!("{preface}{views}"));
}

#[test]
fn docs_cli_is_what_help_says() {
    let mut page = String::from(
        "<!-- Made from the command line itself by `REGSQL_UPDATE=1 cargo test docs`; a test keeps it fresh. -->\n\
         # Commands\n\n\
         Data goes to standard output, everything else to standard error. Exit codes: 0 done; 1 findings;\n\
         2 error or usage; 130 interrupted. A closed pipe is not an error.\n\n\
         A command that looks at a storage anew takes it as `STORAGE`: `scan` must have it, `verify` and\n\
         `serve` take that of the last scan without it. Commands that change a storage change the one that\n\
         the database is a scan of; `undo` and `trash` also work without a database, with `--storage`.\n",
    );
    let mut command = regsql::commands::command_line().term_width(100);
    command.build();
    let overview = command.render_long_help();
    writeln!(page, "\n## regsql\n\n```text\n{}\n```", trimmed(&overview.to_string())).unwrap();
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        let sub = command.find_subcommand_mut(name).unwrap();
        let help = sub.render_long_help();
        writeln!(page, "\n## regsql {name}\n\n```text\n{}\n```", own_options(&help.to_string()))
            .unwrap();
        for inner in sub.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            let (inner_name, help) = (inner.get_name().to_owned(), inner.render_long_help());
            let help = own_options(&help.to_string());
            writeln!(page, "\n### regsql {name} {inner_name}\n\n```text\n{help}\n```").unwrap();
        }
    }
    check("cli.md", &page);
}

/// The headings and the line under each are made; the rest is written by hand and must be there.
#[test]
fn docs_findings_has_every_code_in_order() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut sections = page.split("\n## ");
    let mut fresh = sections.next().unwrap().to_owned();
    let mut names = Vec::new();
    for section in sections {
        let (name, rest) = section.split_once("\n\n").unwrap();
        let code = Code::ALL.iter().find(|code| code.name() == name);
        let code = code.unwrap_or_else(|| panic!("docs/findings.md: no code is called {name}"));
        let (_, by_hand) = rest.split_once("\n\n").unwrap();
        for part in ["Images that break", "How it comes about", "How to mend it"] {
            assert!(by_hand.contains(&format!("- **{part}:** ")), "{name} lacks `{part}`");
        }
        let (severity, meaning) = (code.severity().as_str(), code.meaning());
        write!(fresh, "\n## {name}\n\n**{severity}**: {meaning}\n\n{by_hand}").unwrap();
        names.push(name);
    }
    let all: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names, all, "docs/findings.md has other codes, or another order, than Code::ALL");
    check("findings.md", &fresh);
}

/// The help of a command without the options that every command has.
fn own_options(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_global = false;
    for line in text.lines() {
        is_global =
            line == "Global options:" || is_global && (line.is_empty() || line.starts_with(' '));
        if !is_global {
            lines.push(line);
        }
    }
    trimmed(&lines.join("\n"))
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
