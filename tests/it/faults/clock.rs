//! Clocks that jump, and files from other times.

use std::fs::File;
use std::time::{Duration, SystemTime};
use walkdir::WalkDir;

use super::{Machine, names_in};
use crate::env::behaves;
use crate::env::shown;

const DRY_RUN: &[&str] =
    &["prune", "--garbage", "untagged-revisions", "--trust-storage", "-f", "json"];

/// Every file and directory below the root gets this time.
fn touch_all(machine: &Machine, time: SystemTime) {
    for entry in WalkDir::new(machine.root()) {
        File::open(entry.unwrap().path()).unwrap().set_modified(time).unwrap();
    }
}

fn at(machine: &Machine, now: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = machine.command(arguments);
    command.env("REGSQL_NOW", now);
    behaves(command)
}

#[test]
fn a_clock_before_the_files_finds_nothing_old_enough() {
    let machine = Machine::new(3);
    machine.works(&["scan", "registry"]);
    for now in ["1970-01-01T00:00:00Z", "2001-09-09T01:46:40Z", "-009999-01-02T01:59:59Z"] {
        let output = at(&machine, now, DRY_RUN);
        assert_eq!(names_in(&output.stdout).len(), 0, "{now}: {}", shown(&output));
        for arguments in [
            &["report", "overview"] as &[_],
            &["verify"],
            &["report", "older-than", "-p", "days=1"],
        ] {
            let output = at(&machine, now, arguments);
            assert_ne!(output.status.code(), Some(2), "{now} {arguments:?}: {}", shown(&output));
        }
    }
}

#[test]
fn a_clock_long_after_the_files_still_takes_only_garbage() {
    let machine = Machine::new(3);
    machine.works(&["scan", "registry"]);
    let truth = at(&machine, "2100-01-01T00:00:00Z", DRY_RUN);
    let truth = names_in(&truth.stdout);
    assert!(truth.len() > 5, "{truth:?}");
    for now in ["2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z", "9999-12-30T22:00:00Z"] {
        let output = at(&machine, now, DRY_RUN);
        assert!(names_in(&output.stdout).is_subset(&truth), "{now}: {}", shown(&output));
        for arguments in [
            &["report", "overview"] as &[_],
            &["verify"],
            &["report", "older-than", "-p", "days=1"],
        ] {
            let output = at(&machine, now, arguments);
            assert_ne!(output.status.code(), Some(2), "{now} {arguments:?}: {}", shown(&output));
        }
    }
}

#[test]
fn files_from_the_future_are_young_and_files_from_before_all_time_are_old() {
    let machine = Machine::new(3);
    let century = Duration::from_hours(24 * 365 * 100);
    for (time, is_future) in [
        (SystemTime::now() + century, true),
        // The furthest that many file systems can say, and beyond what nanoseconds can count.
        (SystemTime::now() + century * 4, true),
        (SystemTime::UNIX_EPOCH, false),
        (SystemTime::UNIX_EPOCH - Duration::from_hours(24 * 365 * 60), false),
    ] {
        touch_all(&machine, time);
        machine.works(&["scan", "registry"]);
        for arguments in [&["report", "tags"] as &[_], &["report", "stale-uploads"], &["verify"]] {
            machine.works(arguments);
        }
        let output = machine.works(&[DRY_RUN, &["--min-age", "24h"]].concat());
        let names = names_in(&output.stdout);
        // An old time does not make a file old: its ctime is of today.
        if is_future {
            assert_eq!(names.len(), 0, "{time:?}: {}", shown(&output));
            let plan = String::from_utf8_lossy(&output.stdout);
            assert!(!plan.contains(" 0 s ago"), "{plan}");
            assert!(time > SystemTime::now() + century || plan.contains("which is in the future"));
        }
        let ageless = machine.works(&[DRY_RUN, &["--min-age", "0s"]].concat());
        assert!(names.is_subset(&names_in(&ageless.stdout)));
    }
}
