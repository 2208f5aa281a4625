//! Servers that do what no registry should: nothing may hang, grow, leak or reach a terminal.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regsql::model::Digest;
use regsql::registry::{Credentials, Options, Registry as Client, RegistryError};

use super::fake::{Fake, reply};
use super::options;

fn client(fake: &Fake) -> Client {
    let credentials = Some(Credentials::new("ann", "hunter2"));
    Client::connect(&fake.url(), Options { credentials, ..options() }).unwrap()
}

/// Sends the same bytes until the client has enough.
fn endless(stream: &mut TcpStream, start: &str, more: &str) {
    stream.write_all(start.as_bytes()).ok();
    let block = more.repeat(1 + 65_536 / more.len());
    while stream.write_all(block.as_bytes()).is_ok() {}
}

#[test]
fn an_endless_manifest_is_cut_at_four_mebibytes() {
    let fake = Fake::start(|_, stream| endless(stream, "HTTP/1.1 200 OK\r\n\r\n", "x"));
    let error = client(&fake).manifest("a", "v1").unwrap_err();
    assert!(error.to_string().contains("4194304 bytes"), "{error}");
    assert_eq!(fake.heads().len(), 1, "it is not asked again");
}

#[test]
fn an_endless_error_is_told_by_its_status() {
    let fake = Fake::start(|_, stream| endless(stream, "HTTP/1.1 500 No\r\n\r\n", "[{"));
    let error = client(&fake).tags("a").unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 500, .. }), "{error}");
}

#[test]
fn endless_headers_are_cut() {
    let fake = Fake::start(|_, stream| endless(stream, "HTTP/1.1 200 OK\r\n", "X-Y: z\r\n"));
    assert!(client(&fake).tags("a").is_err());
    let fake = Fake::start(|_, stream| endless(stream, "HTTP/1.1 200 OK\r\nX: ", "y"));
    let error = client(&fake).tags("a").unwrap_err();
    assert!(error.to_string().contains("head is longer"), "{error}");
}

#[test]
fn an_answer_that_drips_ends_with_the_timeout() {
    let fake = Fake::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let timeout = Duration::from_millis(300);
    let client = Client::connect(&fake.url(), Options { timeout, ..options() }).unwrap();
    let begun = Instant::now();
    let error = client.tags("a").unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn who_is_sent_to_another_host_takes_no_credentials_there() {
    let other = Fake::start(|_, stream| reply(stream, "200 OK", &[], r#"{"tags":[]}"#));
    let target = format!("{}/elsewhere?X-Signature=s3cret", other.url());
    let fake = Fake::start(move |head, stream| {
        if head.to_lowercase().contains("authorization") {
            reply(stream, "307 Elsewhere", &[("Location", &target)], "");
        } else {
            reply(stream, "401 Who", &[("WWW-Authenticate", "Basic realm=x")], "");
        }
    });
    let client = client(&fake);
    assert_eq!(client.tags("a").unwrap(), [""; 0]);
    assert!(client.head_blob("a", &Digest::of(b"x")).unwrap());
    assert_eq!(other.heads().len(), 2);
    for head in other.heads() {
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
    }
    let error = client.delete_manifest("a", &Digest::of(b"x")).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert_eq!(other.heads().len(), 2, "a delete is not sent on");
}

#[test]
fn on_the_same_server_credentials_go_along() {
    let fake = Fake::start(|head, stream| {
        if !head.to_lowercase().contains("authorization") {
            reply(stream, "401 Who", &[("WWW-Authenticate", "Basic realm=x")], "");
        } else if head.starts_with("GET /v2/a/tags/list ") {
            reply(stream, "308 Moved", &[("Location", "/moved")], "");
        } else {
            reply(stream, "200 OK", &[], r#"{"tags":["v1"]}"#);
        }
    });
    assert_eq!(client(&fake).tags("a").unwrap(), ["v1"]);
}

#[test]
fn redirects_end() {
    for location in ["/v2/a/tags/list", "ftp://x/", "//x/", "file:///etc/passwd", "\u{7f}"] {
        let fake = Fake::start(move |_, stream| {
            reply(stream, "302 Found", &[("Location", location)], "");
        });
        assert!(client(&fake).tags("a").is_err(), "{location}");
        assert!(fake.heads().len() <= 4, "{location}");
    }
}

#[test]
fn pages_end_and_stay_with_the_registry() {
    let pages = AtomicUsize::new(0);
    let fake = Fake::start(move |_, stream| {
        let page = pages.fetch_add(1, Ordering::Relaxed) % 3;
        let link = format!("<http://evil.invalid/v2/a/tags/list?last=t{page}>; rel=\"next\"");
        let tags = format!(r#"{{"tags":["t{page}"]}}"#);
        reply(stream, "200 OK", &[("Link", &link)], &tags);
    });
    let error = client(&fake).tags("a").unwrap_err();
    assert!(error.to_string().contains("pages do not end"), "{error}");
    assert_eq!(fake.heads().len(), 4);
    let link = ("Link", "</v2/other/tags/list?last=x>; rel=next");
    let fake = Fake::start(move |_, stream| reply(stream, "200 OK", &[link], r#"{"tags":[]}"#));
    let error = client(&fake).tags("a").unwrap_err();
    assert!(error.to_string().contains("next page is elsewhere"), "{error}");
}

#[test]
fn pages_are_put_together() {
    let fake = Fake::start(|head, stream| {
        if head.contains("last=b&n=2") {
            reply(stream, "200 OK", &[], r#"{"tags":["c"]}"#);
        } else {
            let link = ("Link", "</v2/a/tags/list?last=b&n=2>; rel=\"next\"");
            reply(stream, "200 OK", &[link], r#"{"tags":["a","b"]}"#);
        }
    });
    assert_eq!(client(&fake).tags("a").unwrap(), ["a", "b", "c"]);
}

#[test]
fn what_is_no_answer_is_an_error() {
    for body in ["", "{", "[]", r#"{"tags":"v1"}"#, r#"{"tags":[1]}"#, "\u{0}", "<html>"] {
        let fake = Fake::start(move |_, stream| reply(stream, "200 OK", &[], body));
        let error = client(&fake).tags("a").unwrap_err();
        assert!(matches!(error, RegistryError::BadAnswer { .. }), "{body}: {error}");
    }
    let headers = [("Docker-Content-Digest", "sha256:nonsense")];
    let fake = Fake::start(move |_, stream| reply(stream, "200 OK", &headers, ""));
    let error = client(&fake).manifest_digest("a", "v1").unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
    let fake = Fake::start(|_, stream| drop(stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n")));
    assert!(client(&fake).tags("a").is_err());
}

#[test]
fn a_manifest_must_have_the_digest_that_was_asked_for() {
    let fake = Fake::start(|_, stream| reply(stream, "200 OK", &[], "{}"));
    let client = client(&fake);
    assert_eq!(client.manifest("a", "v1").unwrap().unwrap(), b"{}");
    let error = client.manifest("a", &Digest::of(b"other").to_string()).unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
}

#[test]
fn where_the_digest_is_not_said_the_bytes_are_hashed() {
    let fake = Fake::start(|head, stream| {
        reply(stream, "200 OK", &[], if head.starts_with("HEAD") { "" } else { "{}" });
    });
    let found = client(&fake).manifest_digest("a", "v1").unwrap();
    assert_eq!(found, Some(Digest::of(b"{}")));
}

#[test]
fn an_errors_text_cannot_act_on_a_terminal_and_is_short() {
    let message = format!("\\u001b]52;c;aGk=\\u0007 \\u202e{}", "long ".repeat(1000));
    let body = format!(r#"{{"errors":[{{"code":"DENIED\u001b[2J","message":"{message}"}}]}}"#);
    let fake = Fake::start(move |_, stream| reply(stream, "500 No", &[], &body));
    let error = client(&fake).tags("a").unwrap_err().to_string();
    assert!(error.contains("DENIED\\u{1b}[2J: \\u{1b}]52;c"), "{error}");
    assert!(!error.chars().any(|char| char.is_control() || char == '\u{202e}'), "{error:?}");
    assert!(error.len() < 600, "{error}");
}

#[test]
fn a_busy_registry_is_asked_again_and_a_broken_connection_too() {
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |_, stream| match count.fetch_add(1, Ordering::Relaxed) {
        0 => reply(stream, "503 Busy", &[], ""),
        1 => reply(stream, "429 Busy", &[("Retry-After", "0")], ""),
        // The connection just closes.
        2 => {}
        _ => reply(stream, "200 OK", &[], r#"{"tags":["v1"]}"#),
    });
    assert_eq!(client(&fake).tags("a").unwrap(), ["v1"]);
    assert_eq!(fake.heads().len(), 4);
    let fake = Fake::start(|_, stream| reply(stream, "503 Busy", &[], ""));
    assert!(client(&fake).tags("a").is_err());
    assert_eq!(fake.heads().len(), 4, "it does not ask for ever");
}

#[test]
fn a_token_server_gets_nothing_that_it_should_not() {
    let realm = Fake::start(|_, stream| reply(stream, "200 OK", &[], "{}"));
    for (challenge, why) in [
        (format!("Bearer realm=\"{}\"", realm.url()), "there is none in its answer"),
        ("Bearer realm=\"ftp://x\"".to_owned(), "https"),
        ("Bearer realm=\"http://u:p@x/\"".to_owned(), "not an address"),
        ("Bearer realm=\" \"".to_owned(), "not an address"),
        ("Digest realm=x".to_owned(), "how to log in"),
    ] {
        let fake = Fake::start(move |_, stream| {
            reply(stream, "401 Who", &[("WWW-Authenticate", &challenge)], "");
        });
        let error = client(&fake).tags("a").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("u:p"), "{error}");
    }
    let realm = Fake::start(|_, stream| {
        reply(stream, "200 OK", &[], r#"{"token":"a\r\nX-Evil: yes"}"#);
    });
    let challenge = format!("Bearer realm=\"{}\"", realm.url());
    let fake = Fake::start(move |_, stream| {
        reply(stream, "401 Who", &[("WWW-Authenticate", &challenge)], "");
    });
    let error = client(&fake).tags("a").unwrap_err().to_string();
    assert!(error.contains("characters that a token cannot have"), "{error}");
}
