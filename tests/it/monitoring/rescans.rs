//! `regsql serve` while the storage changes under it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::exporter::{Exporter, push, storage, wait_for};
use super::promtool::{check_metrics, series};

const SUCCEEDED: &str = "regsql_scans_total{result=\"success\"}";
const FAILED: &str = "regsql_scans_total{result=\"failure\"}";

#[test]
fn scrapes_beside_scans_always_get_a_whole_snapshot_and_never_an_older_one() {
    let directory = storage();
    let root = directory.path().join("registry");
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1ms"]);
    exporter.wait_until_ready();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut last, mut scrapes) = (0.0, 0);
                    while !is_done.load(Ordering::Acquire) {
                        let (status, text) = exporter.get("/metrics");
                        assert_eq!(status, 200);
                        assert!(text.ends_with("regsql_last_scan_success 1\n"), "{text}");
                        let tags = series(&text)["regsql_tags"];
                        assert!(tags >= last, "{tags} tags after {last}");
                        assert_eq!(exporter.get("/readyz").0, 200);
                        (last, scrapes) = (tags, scrapes + 1);
                    }
                    scrapes
                })
            })
            .collect();
        for number in 0..30 {
            push(&root, &[&format!("2.{number}")]);
            std::thread::sleep(Duration::from_millis(20));
        }
        exporter.wait_until("regsql_tags", |tags| tags >= 32.0);
        is_done.store(true, Ordering::Release);
        for scraper in scrapers {
            assert!(scraper.join().unwrap() > 10);
        }
    });
    // However slow the machine is.
    exporter.wait_until(SUCCEEDED, |count| count > 3.0);
    check_metrics(&exporter.get("/metrics").1);
}

#[test]
fn a_failed_scan_keeps_the_old_figures_says_so_and_the_next_one_mends_it() {
    let directory = storage();
    let (root, away) = (directory.path().join("registry"), directory.path().join("away"));
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "20ms"]);
    exporter.wait_until_ready();
    fs::rename(&root, &away).unwrap();
    exporter.wait_until(FAILED, |count| count >= 2.0);
    assert_eq!(exporter.value("regsql_last_scan_success"), Some(0.0));
    assert_eq!(exporter.value("regsql_tags"), Some(2.0));
    assert_eq!(exporter.get("/readyz").0, 200);
    check_metrics(&exporter.get("/metrics").1);
    assert!(exporter.log().contains("error: cannot read storage"), "{}", exporter.log());
    push(&away, &["3.0"]);
    fs::rename(&away, &root).unwrap();
    exporter.wait_until("regsql_tags", |tags| tags >= 3.0);
    assert_eq!(exporter.value("regsql_last_scan_success"), Some(1.0));
}

#[test]
fn a_snapshot_that_another_process_puts_in_place_is_served() {
    let directory = storage();
    let root = directory.path().join("registry");
    let scan = || {
        let mut command = crate::env::regsql();
        command.current_dir(directory.path()).args(["scan", "-q", "registry"]);
        assert!(command.status().unwrap().success());
    };
    // Nothing to serve yet, and nothing is scanned: it waits for others.
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "0s"]);
    assert_eq!(exporter.get("/readyz").0, 503);
    scan();
    exporter.wait_until("regsql_tags", |tags| tags >= 2.0);
    push(&root, &["2.0"]);
    scan();
    exporter.wait_until("regsql_tags", |tags| tags >= 3.0);
    // A scan that finds nothing new is a newer scan all the same.
    let before = exporter.value("regsql_last_scan_timestamp_seconds").unwrap();
    scan();
    exporter.wait_until("regsql_last_scan_timestamp_seconds", |time| time > before);
}

#[test]
fn memory_does_not_grow_with_the_number_of_scans() {
    let directory = storage();
    let root = directory.path().join("registry");
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1ms"]);
    let scans = |at_least: f64| {
        let (mut number, mut done) = (0, exporter.value(SUCCEEDED).unwrap_or(0.0));
        while done < at_least {
            // Something changes every time, so that scans are whole ones. Each may take its time on a
            // machine that has much else to do.
            push(&root, &[["even", "odd"][number % 2]]);
            number += 1;
            let next = || exporter.value(SUCCEEDED).filter(|count| *count > done);
            done = wait_for("one more scan", next);
        }
    };
    scans(30.0);
    let before = resident_kib(exporter.id());
    scans(130.0);
    let after = resident_kib(exporter.id());
    assert!(after < 200 << 10, "{after} KiB");
    assert!(after < before + (16 << 10), "{before} KiB after 30 scans, {after} KiB after 130");
}

fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
