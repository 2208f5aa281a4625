//! What a real shell completes, and the man pages.

use crate::env::{program, shown};
use crate::fixture::Fixture;

/// What bash offers for the last word of `line`, one a line.
fn bash(fixture: &Fixture, line: &str) -> Vec<String> {
    let script = r#"
        source <(regsql completions bash)
        complete -p regsql >/dev/null || exit 1
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
        _regsql
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = program("bash")
        .args(["--norc", "-c", script, "bash", line])
        .current_dir(fixture.directory())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_reports() {
    let fixture = Fixture::new();
    assert_eq!(bash(&fixture, "regsql re"), ["report"]);
    assert_eq!(bash(&fixture, "regsql report rare"), ["rare-layers"]);
    assert!(bash(&fixture, "regsql report ").contains(&"overview".to_owned()));
    assert_eq!(bash(&fixture, "regsql report tags --form"), ["--format"]);
    assert_eq!(bash(&fixture, "regsql report tags --format=ma"), ["markdown"]);
    assert_eq!(bash(&fixture, "regsql schema tag_"), ["tag_history"]);
    let from = bash(&fixture, "regsql free 1GiB --from ");
    assert!(from.contains(&"older-than".into()) && !from.contains(&"overview".into()), "{from:?}");
}

#[test]
fn bash_completes_repositories_and_tags_from_the_database() {
    let fixture = Fixture::new();
    assert_eq!(bash(&fixture, "regsql why team/"), ["team/app:", "team/model:"]);
    // Bash replaces only what stands behind the colon.
    assert_eq!(bash(&fixture, "regsql why team/app:"), ["1.10.0", "1.9.0", "latest"]);
    assert_eq!(bash(&fixture, "regsql why team/app:1.9"), ["1.9.0"]);
    std::fs::rename(fixture.database(), fixture.directory().join("other.db")).unwrap();
    assert_eq!(bash(&fixture, "regsql why team/"), [""; 1], "there is no database");
    assert_eq!(bash(&fixture, "regsql --db other.db why tool/"), ["tool/cli:"]);
}

#[test]
fn bash_completes_parameters_of_the_report_on_the_line() {
    let fixture = Fixture::new();
    let names = bash(&fixture, "regsql report keep-latest -p ");
    assert_eq!(names, ["keep=", "order=", "match=", "repository=", "limit="]);
    assert_eq!(bash(&fixture, "regsql report tags -p order=p"), ["pushed"]);
    assert_eq!(bash(&fixture, "regsql report tags -p repository=zz"), ["zz/ghost"]);
}

#[test]
fn a_hostile_name_is_never_put_on_a_command_line() {
    let fixture = Fixture::changed_by(
        "UPDATE repository SET name = 'team/x;reboot' WHERE id = 1;
         UPDATE tag SET name = '$(reboot)' WHERE id = 6",
    );
    assert_eq!(bash(&fixture, "regsql why team/"), ["team/model:"]);
    assert_eq!(bash(&fixture, "regsql why tool/cli:"), [""; 1]);
    // Its tags are `=1+1` and one with an escape sequence.
    assert_eq!(bash(&fixture, "regsql why team/model:"), [""; 1]);
}

#[test]
fn every_shell_has_a_script_that_asks_regsql() {
    let fixture = Fixture::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = fixture.stdout(&["completions", shell]);
        assert!(script.contains("REGSQL_COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn the_man_page_has_every_command_and_there_is_one_for_each() {
    let fixture = Fixture::new();
    let whole = fixture.stdout(&["man"]);
    fixture.stdout(&["man", "--out", "man/man1"]);
    let directory = fixture.directory().join("man/man1");
    for command in regsql::commands::command_line().get_subcommands() {
        let name = command.get_name();
        assert!(whole.contains(&name.to_uppercase()), "{name}");
        let page = std::fs::read_to_string(directory.join(format!("regsql-{name}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert!(directory.join("regsql.1").is_file());
    // One page, with the preamble of one and a heading for each command.
    assert_eq!(whole.matches(".TH ").count(), 1);
    assert_eq!(whole.matches(".ie ").count(), 1, "{whole:.400}");
    assert_eq!(whole.matches("\n.SH OPTIONS").count(), 1);
}
