//! Clients of `regsql serve` that are slow, many or hostile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::exporter::{Exporter, storage, wait_for};

const SUCCEEDED: &str = "regsql_scans_total{result=\"success\"}";

#[test]
fn slow_clients_stop_neither_scrapes_nor_scans_and_are_dropped() {
    let directory = storage();
    let mut exporter = Exporter::start(directory.path(), &["registry", "--interval", "20ms"]);
    exporter.wait_until_ready();
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(exporter.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let started = Instant::now();
    let mut half_heads: Vec<TcpStream> =
        (0..40).map(|_| connect("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")).collect();
    let silent: Vec<TcpStream> = (0..20).map(|_| connect("")).collect();
    let never_read: Vec<TcpStream> =
        (0..20).map(|_| connect("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    let before = exporter.value(SUCCEEDED).unwrap();
    exporter.wait_until(SUCCEEDED, |count| count >= before + 5.0);
    // A byte now and then keeps no connection open.
    let last = half_heads.last_mut().unwrap();
    wait_for("the end of a slow connection", || {
        std::thread::sleep(Duration::from_millis(200));
        last.write_all(b"x").err()
    });
    let took = started.elapsed();
    assert!((4..60).contains(&took.as_secs()), "dropped after {took:?}");
    assert_eq!(exporter.get("/healthz").0, 200);
    drop((half_heads, silent, never_read));
    assert_eq!(exporter.terminate().code(), Some(0));
}

#[test]
fn clients_that_hang_on_do_not_hold_up_the_end() {
    let directory = storage();
    let mut exporter = Exporter::start(directory.path(), &["registry"]);
    exporter.wait_until_ready();
    let _held: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(exporter.address).unwrap();
            stream.write_all(b"GET / HT").unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    assert_eq!(exporter.terminate().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn fifty_scrapes_at_once_are_all_answered() {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1h"]);
    exporter.wait_until_ready();
    let expected = exporter.get("/metrics");
    std::thread::scope(|scope| {
        let scrapes: Vec<_> = (0..50).map(|_| scope.spawn(|| exporter.get("/metrics"))).collect();
        for scrape in scrapes {
            assert_eq!(scrape.join().unwrap(), expected);
        }
    });
}

#[test]
fn requests_without_measure_or_sense_are_refused_and_it_lives_on() {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "1h"]);
    exporter.wait_until_ready();
    let long = "x".repeat(1 << 20);
    let many = "X-Again: 1\r\n".repeat(200);
    for (request, statuses) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), &["414", "431"][..]),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), &["431"]),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), &["431"]),
        ("\u{0}\u{1}nonsense\r\n\r\n".into(), &["400"]),
        (
            format!(
                "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n{long}"
            ),
            &["200"],
        ),
    ] {
        let status = status_of(&exporter, &request);
        let head: String = request.chars().take(40).collect();
        // A server that closes while it is still sent to may also be heard as a reset.
        assert!(status.is_empty() || statuses.contains(&status.as_str()), "{head:?}: {status}");
        assert_eq!(exporter.get("/healthz").0, 200, "{head:?}");
    }
}

fn status_of(exporter: &Exporter, request: &str) -> String {
    let mut stream = TcpStream::connect(exporter.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).unwrap_or("").to_owned()
}
