//! What `regsql serve` answers, and how it begins and ends.

use std::net::TcpListener;

use insta::assert_snapshot;

use super::exporter::{Exporter, storage};
use super::promtool::check_metrics;
use crate::env::shown;
use crate::fixture::Fixture;

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[test]
fn scrapers_get_text_browsers_a_page_and_probes_their_word() {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1h"]);
    exporter.wait_until_ready();
    let (status, text) = exporter.get("/metrics");
    assert_eq!(status, 200);
    check_metrics(&text);
    assert!(text.contains("\nregsql_tags 2\n") && text.contains("{result=\"success\"} 1\n"));
    assert_eq!(exporter.get("/"), (200, text));

    let page = exporter.ask("GET", "/", &[BROWSER]);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(String::from_utf8(page.body).unwrap().contains("<svg"), "the page with pictures");
    let plain = exporter.ask("GET", "/metrics", &[BROWSER]);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));

    assert_eq!(exporter.get("/healthz"), (200, "ok\n".into()));
    assert_eq!(exporter.get("/readyz"), (200, "ready\n".into()));
    assert_eq!(exporter.get("/metrics/../etc/passwd").0, 404);
    assert_eq!(exporter.get("/?query=ignored").0, 200);
}

#[test]
fn on_loopback_no_other_name_is_answered_to() {
    let directory = storage();
    let arguments = ["registry", "--interval", "1h", "--allow-host", "metrics.example.com"];
    let exporter = Exporter::start(directory.path(), &arguments);
    exporter.wait_until_ready();
    for path in ["/", "/metrics", "/healthz", "http://evil.example.com/metrics"] {
        let answer = exporter.ask("GET", path, &[("Host", "evil.example.com:9055")]);
        assert_eq!(answer.status, 421, "{path}");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("--allow-host") && !body.contains("team"), "{body}");
    }
    assert_eq!(exporter.ask("GET", "http://evil.example.com/metrics", &[]).status, 421);
    for host in ["localhost:1", "127.0.0.1", "[::1]:9055", "metrics.example.com"] {
        assert_eq!(exporter.ask("GET", "/metrics", &[("Host", host)]).status, 200, "{host}");
    }
}

#[test]
fn only_reading_is_answered_and_every_answer_forbids_scripts_from_elsewhere() {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1h"]);
    exporter.wait_until_ready();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = exporter.ask(method, "/metrics", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let (get, head) = (exporter.ask("GET", "/", &[BROWSER]), exporter.ask("HEAD", "/", &[BROWSER]));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert!(head.body.is_empty() && !get.body.is_empty());
    for answer in [get, head, exporter.ask("GET", "/none", &[])] {
        let policy = answer.must_have("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

#[test]
fn without_a_storage_the_one_that_was_scanned_last_is_served() {
    let directory = storage();
    let scanned = crate::env::regsql()
        .current_dir(directory.path())
        .args(["scan", "-q", "registry"])
        .status();
    assert!(scanned.unwrap().success());
    let exporter = Exporter::start(directory.path(), &["--interval", "0s"]);
    // There is a snapshot, so it is ready as soon as it listens.
    assert_eq!(exporter.get("/readyz").0, 200);
    assert_eq!(exporter.value("regsql_tags"), Some(2.0));
    assert_eq!(exporter.value("regsql_scans_total{result=\"success\"}"), Some(0.0));
    assert_eq!(exporter.value("regsql_last_scan_success"), None);
}

#[test]
fn a_snapshot_of_another_storage_is_never_served() {
    let (directory, other) = (storage(), storage());
    let scanned = crate::env::regsql()
        .current_dir(directory.path())
        .args(["scan", "-q"])
        .arg(other.path().join("registry"))
        .status();
    assert!(scanned.unwrap().success());
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "0s"]);
    assert_eq!(exporter.get("/readyz"), (503, "the first scan is not done yet\n".into()));
    assert_eq!(exporter.value("regsql_tags"), None);
}

#[test]
fn sigterm_ends_it_with_exit_code_0() {
    let directory = storage();
    let mut exporter = Exporter::start(directory.path(), &["registry"]);
    exporter.wait_until_ready();
    assert_eq!(exporter.terminate().code(), Some(0));
    assert!(exporter.log().ends_with("stopped\n"), "{}", exporter.log());
}

#[test]
fn what_cannot_begin_says_why() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["--db", "none.db", "serve"]), @r"
    exit 2
    --- stderr
    error: no STORAGE is given, and there is no snapshot in `none.db` that names one
    hint: name the registry's storage: `regsql serve STORAGE`
    ");
    assert_snapshot!(fixture.run(&["serve", "none"]), @r"
    exit 2
    --- stderr
    error: cannot read storage `none`
      because: No such file or directory (os error 2)
    hint: give the registry's root directory, its docker/registry/v2, or its config.yml
    ");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = fixture.command(&["serve", "--listen", &address]).output().unwrap();
    assert_snapshot!(shown(&output).replace(&address, "ADDRESS"), @r"
    exit 2
    --- stderr
    error: cannot listen on ADDRESS
      because: Address already in use (os error 98)
    hint: another program listens there; name another address with --listen
    ");
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let directory = storage();
    let exporter = Exporter::start_on("0.0.0.0:0", directory.path(), &["registry"]);
    assert!(exporter.log().contains("warning: other machines may reach it"), "{}", exporter.log());
}
