//! Processes that are killed at some moment of their work.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Machine, PRUNE};
use crate::env::{LIMIT, wait_until};

/// Moments of one kind of work at which it is killed.
const MOMENTS: u32 = 20;

/// Starts the work, ends it after `moment` twentieths of `whole` in one of two ways, and waits.
fn kill(machine: &Machine, arguments: &[&str], whole: Duration, moment: u32) {
    let mut command = machine.command(arguments);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(whole * moment / MOMENTS);
    let signal = if moment.is_multiple_of(2) { Signal::KILL } else { Signal::TERM };
    // It may have ended by itself.
    kill_process(Pid::from_child(&child), signal).ok();
    assert!(wait_until(&mut child, Instant::now() + LIMIT).is_some(), "{signal:?} is not heard");
}

/// How long it takes when it is left alone.
fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

#[test]
fn a_scan_killed_at_any_moment_leaves_the_old_or_the_new_snapshot() {
    let machine = Machine::new(10);
    machine.works(&["scan", "registry"]);
    let whole = time(|| drop(machine.works(&["scan", "--full", "registry"])));
    for moment in 0..MOMENTS {
        kill(&machine, &["scan", "--full", "registry"], whole, moment);
        machine.assert_database_is_whole();
        machine.works(&["report", "overview", "-f", "json"]);
    }
    machine.works(&["scan", "--full", "registry"]);
    let mut names: Vec<_> =
        fs::read_dir(machine.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["registry", "registry.db"], "nothing is left behind");
}

#[test]
fn a_check_of_content_killed_at_any_moment_keeps_the_database_whole() {
    let machine = Machine::new(10);
    machine.works(&["scan", "registry"]);
    let check = ["verify", "--content"];
    let whole = time(|| drop(machine.works(&check)));
    for moment in 0..MOMENTS {
        kill(&machine, &check, whole, moment);
        // What a killed writer left in its journal is rolled back by the next one.
        machine.works(&["scan", "registry"]);
        machine.assert_database_is_whole();
    }
    let output = machine.works(&check);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_prune_killed_at_any_moment_loses_nothing() {
    let machine = Machine::new(6);
    machine.works(&["scan", "registry"]);
    let before = machine.tree();
    let whole = time(|| drop(machine.works(PRUNE)));
    machine.undo_all();
    before.assert_same(&machine.tree(), "after an undo");
    for moment in 0..MOMENTS {
        kill(&machine, PRUNE, whole, moment);
        machine.undo_all();
        before.assert_same(&machine.tree(), &format!("killed at moment {moment}"));
    }
    machine.works(PRUNE);
    assert_ne!(machine.tree(), before, "a prune after all this still prunes");
}
