//! Ctrl-C at each command that works for long, on a real terminal: it says what was stopped, clears its
//! bar, ends with 130 and leaves nothing half done.

use std::net::TcpListener;

use crate::browse::real::Tmux;
use crate::console::Demo;

const PRUNE: &str = "regsql prune --garbage --min-age 0s --delete --yes";

/// A shell on a terminal of 80 columns, with the demo's registry scanned.
fn terminal(demo: &Demo) -> Tmux<'_> {
    let tmux = Tmux::new(demo, 80, 40);
    tmux.shell(
        "unset REGSQL_NOW; regsql -q scan --replace regsql-demo/registry; clear; echo scanned",
    );
    tmux.wait_for("\nready>");
    tmux
}

/// Runs `command`, presses Ctrl-C once each of `at` stands on the screen, and gives the screen at the end.
fn stopped(tmux: &Tmux<'_>, command: &str, at: &[&str]) -> String {
    tmux.shell(&format!("clear; {command}; echo exit: $?"));
    for text in at {
        tmux.wait_for(text);
        tmux.send(&["C-c"]);
    }
    let screen = tmux.wait_for("exit: 130");
    assert!(!screen.contains("░") && !screen.contains(" left\n"), "a bar stays: {screen}");
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_check_of_contents_keeps_what_it_has_found() {
    let demo = Demo::new();
    let tmux = terminal(&demo);
    let screen = stopped(&tmux, "regsql verify --content --max-rate 20MB", &["m left"]);
    assert!(screen.contains("error: stopped after"), "{screen}");
    assert!(screen.contains("--not-verified-for 1d"), "{screen}");
}

#[test]
fn a_scan_leaves_the_database_as_it_was() {
    let demo = Demo::new();
    let tmux = terminal(&demo);
    let before = std::fs::read(demo.database()).unwrap();
    let files = || std::fs::read_dir(demo.path("regsql-demo")).unwrap().count();
    let count = files();
    // A registry that takes the request and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let command = format!(
        "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b regsql scan --replace \
         's3://bucket?endpoint=http://{address}&region=x'"
    );
    tmux.shell(&format!("clear; {command}; echo exit: $?"));
    let (connection, _) = listener.accept().unwrap();
    tmux.send(&["C-c"]);
    let screen = tmux.wait_for("exit: 130");
    drop(connection);
    assert!(screen.contains("the scan was stopped; the database is as it was before"), "{screen}");
    assert!(std::fs::read(demo.database()).unwrap() == before, "the database is another");
    assert_eq!(files(), count, "a file was left");
}

#[test]
fn a_deletion_that_has_not_begun_deletes_nothing_and_starts_the_registry_again() {
    let demo = Demo::new();
    let tmux = terminal(&demo);
    let command = format!("{PRUNE} --offline --before 'sleep 60' --after 'echo started again'");
    let screen = stopped(&tmux, &command, &["--before: sleep 60"]);
    assert!(screen.contains("started again error: stopped: nothing was deleted"), "{screen}");
    tmux.shell("clear; regsql trash list");
    tmux.wait_for("The trash is empty");
}

#[test]
fn a_wait_counts_down_and_ends_with_what_has_gone_in_the_trash() {
    let demo = Demo::new();
    let tmux = terminal(&demo);
    let command = format!("{PRUNE} --online --cache-off --wait 90s");
    let at = ["1 min 2", "stopping; pushes under way"];
    let screen = stopped(&tmux, &command, &at);
    assert!(screen.contains("the next prune --delete puts it back first"), "{screen}");
    // Links alone went: they are back, and nothing is missing.
    tmux.shell("clear; regsql undo; regsql verify -f csv | grep -c layer-missing; echo undone");
    tmux.wait_for("\nundone");
    tmux.shell("clear; regsql trash list");
    tmux.wait_for("The trash is empty");
}

#[test]
fn a_question_that_is_not_answered_removes_nothing() {
    let demo = Demo::new();
    let tmux = terminal(&demo);
    tmux.shell(&format!("clear; {PRUNE} --offline; echo exit: $?"));
    tmux.wait_for("exit: 0");
    let screen = stopped(&tmux, "regsql trash purge", &["Remove 1 run"]);
    assert!(screen.contains("stopped: nothing was removed from the trash"), "{screen}");
    tmux.shell("clear; regsql undo; regsql trash list");
    tmux.wait_for("The trash is empty");
}
