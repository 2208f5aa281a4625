//! Two processes at once: one waits or is refused with a word on why, and nothing is lost.

use std::process::{Command, Output};

use super::{Machine, PRUNE};
use crate::env::behaves;
use crate::env::shown;

/// Both at once. At least one does its work; whoever does not says why.
fn both(machine: &Machine, first: &[&str], second: &[&str]) {
    let start = |arguments: &[&str]| -> Command { machine.command(arguments) };
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let threads = [first, second].map(|arguments| {
            let command = start(arguments);
            scope.spawn(move || behaves(command))
        });
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let refused = outputs.iter().filter(|output| output.status.code() == Some(2));
    for output in refused.clone() {
        let told = shown(output);
        let is_clear = ["another", "locked by", "in use"].iter().any(|word| told.contains(word));
        assert!(is_clear && told.contains("hint:"), "{first:?} and {second:?}: {told}");
    }
    assert!(refused.count() < 2, "{first:?} and {second:?}: {outputs:#?}");
    machine.assert_database_is_whole();
}

/// How often each pair meets.
const TIMES: usize = 4;

#[test]
fn two_scans_leave_a_whole_database() {
    let machine = Machine::new(6);
    machine.works(&["scan", "registry"]);
    for _ in 0..TIMES {
        both(&machine, &["scan", "--full", "registry"], &["scan", "registry"]);
    }
}

#[test]
fn a_prune_beside_a_scan_another_prune_or_an_undo_loses_nothing() {
    let machine = Machine::new(5);
    machine.works(&["scan", "registry"]);
    let before = machine.tree();
    for second in [
        &["scan", "--full", "registry"] as &[_],
        PRUNE,
        &["undo"],
        &["trash", "purge", "--yes", "--older-than", "7d"],
    ] {
        for _ in 0..TIMES {
            if second == ["undo"] {
                // Something to be put back.
                machine.works(PRUNE);
            }
            both(&machine, PRUNE, second);
            machine.undo_all();
            before.assert_same(&machine.tree(), &format!("a prune beside {second:?}"));
        }
    }
}
