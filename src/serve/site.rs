//! What is answered: a few texts in memory, and which of them a request gets.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::body::Bytes;

use super::hosts::Hosts;
use crate::export::{Scans, TEXT_FORMAT, render_scans};

/// What is made of one snapshot.
pub struct Pages {
    /// Its metrics.
    pub metrics: String,
    /// The page for browsers.
    pub home: Vec<u8>,
}

/// All that can be answered. One writer puts in new texts; readers hold those that they are sending.
#[derive(Default)]
pub struct Site {
    state: RwLock<Arc<State>>,
    hosts: Hosts,
}

#[derive(Default)]
struct State {
    /// The part of `metrics` that the snapshot gave.
    snapshot_metrics: Arc<str>,
    metrics: Bytes,
    /// `None` until there is a snapshot.
    home: Option<Bytes>,
}

/// An answer to a request.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

impl Site {
    /// One that answers nothing yet, and later only to these names.
    pub fn for_hosts(hosts: Hosts) -> Self {
        Self { hosts, ..Self::default() }
    }

    /// Whether a request that asks for `host` is answered.
    pub fn is_host(&self, host: &str) -> bool {
        self.hosts.allow(host)
    }

    /// Puts in what a snapshot gave.
    pub fn publish(&self, pages: Pages, scans: &Scans) {
        let metrics = Bytes::from(pages.metrics.clone() + &render_scans(scans));
        self.set(State {
            snapshot_metrics: pages.metrics.into(),
            metrics,
            home: Some(pages.home.into()),
        });
    }

    /// Keeps what the last snapshot gave, and `scans`.
    pub fn count(&self, scans: &Scans) {
        let old = self.state();
        let snapshot_metrics = Arc::clone(&old.snapshot_metrics);
        let metrics = Bytes::from(snapshot_metrics.to_string() + &render_scans(scans));
        self.set(State { snapshot_metrics, metrics, home: old.home.clone() });
    }

    /// The answer to a `GET` of `path` from a client that accepts what `accept` says.
    pub fn answer(&self, path: &str, accept: Option<&str>) -> Answer {
        let state = self.state();
        let is_browser = accept.is_some_and(|types| types.contains("text/html"));
        match path {
            "/" if is_browser => match &state.home {
                Some(page) => answer(200, HTML, page.clone()),
                None => answer(503, PLAIN, "the first scan is not done yet\n"),
            },
            "/" | "/metrics" => answer(200, TEXT_FORMAT, state.metrics.clone()),
            "/healthz" => answer(200, PLAIN, "ok\n"),
            "/readyz" if state.home.is_some() => answer(200, PLAIN, "ready\n"),
            "/readyz" => answer(503, PLAIN, "the first scan is not done yet\n"),
            _ => answer(404, PLAIN, "there are /, /metrics, /healthz and /readyz\n"),
        }
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    Answer { status, content_type, body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: Option<&str> = Some("text/html,application/xhtml+xml,*/*;q=0.8");
    const PROMETHEUS: Option<&str> =
        Some("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");

    fn published() -> Site {
        let site = Site::default();
        let pages = Pages { metrics: "a 1\n".into(), home: b"<p>".to_vec() };
        site.publish(pages, &Scans::default());
        site
    }

    #[test]
    fn a_browser_gets_the_page_and_all_others_the_metrics() {
        let site = published();
        assert_eq!(site.answer("/", BROWSER).content_type, HTML);
        for (path, accept) in
            [("/", PROMETHEUS), ("/", None), ("/metrics", PROMETHEUS), ("/metrics", BROWSER)]
        {
            assert_eq!(site.answer(path, accept).content_type, TEXT_FORMAT, "{path}");
        }
    }

    #[test]
    fn without_a_snapshot_it_lives_and_is_not_ready_and_tells_of_its_scans() {
        let site = Site::default();
        site.count(&Scans { failed: 1, ..Scans::default() });
        let status = |path: &str| site.answer(path, None).status;
        assert_eq!((status("/healthz"), status("/readyz"), status("/metrics")), (200, 503, 200));
        assert_eq!(site.answer("/", BROWSER).status, 503);
        let body = site.answer("/metrics", None).body;
        assert!(body.ends_with(b"regsql_scans_total{result=\"failure\"} 1\n"));
    }

    #[test]
    fn a_failed_scan_keeps_the_metrics_of_the_last_snapshot() {
        let site = published();
        site.count(&Scans { failed: 1, last_succeeded: Some(false), ..Scans::default() });
        let body = site.answer("/metrics", None).body;
        assert!(body.starts_with(b"a 1\n") && body.ends_with(b"regsql_last_scan_success 0\n"));
        assert_eq!(site.answer("/readyz", None).status, 200);
    }
}
