//! Runs that are killed, and runs that are asked to stop.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::{Night, STEPS, purged};
use crate::env::{LIMIT, wait_until};

/// Starts a run and waits until it is at a step.
fn run_until(night: &Night, step: &str) -> Child {
    let mut child = night.spawn();
    let wanted = format!("\"step\":\"{step}\"");
    let end = Instant::now() + LIMIT;
    while !night.text("registry.db.nightly").contains(&wanted) {
        assert!(Instant::now() < end, "{step} never came: {}", night.text("log"));
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{step} was over too soon: {status}: {}", night.text("log"));
        }
    }
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn the_next_run_heals_a_run_that_was_killed_at_any_step() {
    for step in STEPS {
        let night = Night::new();
        night.write_config(|text| {
            purged(&text).replace(">>events && ", ">>events && sleep 0.2 && ")
        });
        let mut child = run_until(&night, step);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{step}");
        let text = night.ends(0, &[]);
        assert!(text.contains(&format!("was killed at the step `{step}`")), "{step}: {text}");
        assert_eq!(night.summary()["is_healed"], true, "{step}");
        assert!(night.is_pruned(), "{step}: {text}");
        night.assert_whole();
        // Each downtime that was begun has ended.
        assert!(night.events().ends_with("end"), "{step}: {}", night.events());
        // What the killed run left is no longer on record.
        let text = night.ends(0, &["--recover"]);
        assert_eq!(
            text.matches("was killed at the step").count(),
            1,
            "in the log of before: {text}"
        );
    }
}

#[test]
fn recover_brings_the_registry_back_at_once() {
    let night = Night::new();
    night.write_config(|text| text.replace("sh ./stop", "sh ./stop && sleep 30"));
    let mut child = run_until(&night, "stop");
    let end = Instant::now() + LIMIT;
    while night.serves() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = night.tree();
    let text = night.ends(0, &["--recover"]);
    assert!(text.contains("ended what it left running: process "), "{text}");
    // A registry that was still ending when it was started is started once more.
    let events = night.events();
    assert!(events.starts_with("begin stop start") && events.ends_with(" end"), "{events}: {text}");
    before.assert_same(&night.tree(), "recover deletes nothing");
    night.assert_whole();
}

#[test]
fn a_run_that_is_asked_to_stop_starts_the_registry_and_ends_the_downtime() {
    for (step, name) in [
        ("scan", "-INT"),
        ("stop", "-TERM"),
        ("prune", "-TERM"),
        ("start", "-TERM"),
        ("check", "-INT"),
    ] {
        let night = Night::new();
        night.write_config(|text| text.replace(">>events && ", ">>events && sleep 0.2 && "));
        let mut child = run_until(&night, step);
        signal(&child, name);
        let status = wait_until(&mut child, Instant::now() + LIMIT).unwrap();
        let log = night.text("log");
        // What is all but done may end well.
        assert!(matches!(status.code(), Some(130)), "{step}: {status}: {log}");
        let events = night.events();
        assert!(events.is_empty() || events.ends_with("end"), "{step}: {events}: {log}");
        assert!(log.contains("exit code 130"), "{step}: {log}");
        night.assert_whole();
        // The next run has nothing to heal.
        let text = night.ends(0, &[]);
        assert!(!text.contains("was killed at the step"), "{step}: {text}");
        assert!(night.is_pruned(), "{step}: {text}");
    }
}
