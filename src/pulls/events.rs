//! The registry's notifications: an envelope of events, as distribution's `notifications` package
//! writes it (docs: "Work with notifications").

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::store::PullStore;
use super::{Filter, Line, Pull, SECOND_NS, Span, hash_of, is_valid, time};
use crate::db::{DatabaseError, WriteLock};
use crate::model::Digest;

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    id: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: EventRequest,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default, rename = "mediaType")]
    media_type: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    tag: String,
}

#[derive(Default, Deserialize)]
struct EventRequest {
    #[serde(default)]
    host: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    useragent: String,
}

impl Event {
    fn judge(&self, filter: &Filter) -> Line {
        let Some(at_ns) = time::rfc3339(&self.timestamp).filter(|at_ns| filter.is_possible(*at_ns))
        else {
            return Line::Broken;
        };
        // A pull of a layer has a URL, too, and no media type of a manifest.
        let is_manifest =
            self.target.url.contains("/manifests/") || self.target.media_type.contains("manifest");
        if self.action != "pull" || !is_manifest || filter.is_other_host(Some(&self.request.host)) {
            return Line::Other(Some(at_ns));
        }
        if filter.is_ignored(&self.request.useragent) {
            return Line::Own(at_ns);
        }
        if self.request.method == "HEAD" && !filter.counts_head {
            return Line::Head(at_ns);
        }
        let tag = Some(&self.target.tag).filter(|tag| !tag.is_empty());
        let reference = tag.unwrap_or(&self.target.digest).clone();
        let Some(digest) = Digest::parse(&self.target.digest)
            .ok()
            .filter(|_| is_valid(&self.target.repository, &reference))
        else {
            return Line::Broken;
        };
        let id = if self.id.is_empty() {
            format!("{at_ns} {} {reference} {digest}", self.target.repository)
        } else {
            self.id.clone()
        };
        let hash = hash_of(id.as_bytes());
        let repository = self.target.repository.clone();
        Line::Pull(Pull { at_ns, repository, reference, digest: Some(digest), count: 1, hash })
    }
}

/// What an envelope, or one event, says; `None` when it is neither.
pub(super) fn lines_in(json: &[u8], filter: &Filter) -> Option<Vec<Line>> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(json) {
        return Some(envelope.events.iter().map(|event| event.judge(filter)).collect());
    }
    let event = serde_json::from_slice::<Event>(json).ok()?;
    Some(vec![event.judge(filter)])
}

/// The pulls in a body that the registry sent; `None` when it is no envelope.
fn events_in(body: &[u8], filter: &Filter) -> Option<Vec<Pull>> {
    let envelope = serde_json::from_slice::<Envelope>(body).ok()?;
    let lines = envelope.events.iter().map(|event| event.judge(filter));
    Some(
        lines
            .filter_map(|line| if let Line::Pull(pull) = line { Some(pull) } else { None })
            .collect(),
    )
}

/// Pulls that wait for being written. While a scan has the database, they wait here.
const MOST_WAITING: usize = 200_000;
/// Without events the time is noted this often.
const QUIET_NS: i64 = 600 * SECOND_NS;

/// Notifications that came in and are not written yet.
#[derive(Debug)]
pub struct Notifications {
    state: Mutex<Waiting>,
    token: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    pulls: Vec<Pull>,
    /// Since when everything that came in is among them. A registry that sends nothing may not be
    /// configured to: only the first event shows that it is.
    from_ns: Option<i64>,
}

impl Notifications {
    /// Nothing has come in; a request must bring `token` where there is one.
    pub fn new(token: Option<String>) -> Self {
        let waiting = Waiting { pulls: Vec::new(), from_ns: None };
        Self { state: Mutex::new(waiting), token }
    }

    /// Whether a request with this `Authorization` header may bring events. The time that this
    /// takes does not depend on how much of the token is right.
    pub fn allows(&self, authorization: Option<&str>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = authorization.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or("");
        let is_same_length = given.len() == token.len();
        let difference =
            given.bytes().zip(token.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
        is_same_length && difference == 0
    }

    /// Takes what a body holds. `Some(false)`: there is no room, and it must be sent again;
    /// `None`: it is no envelope.
    pub fn take(&self, body: &[u8], now_ns: i64) -> Option<bool> {
        let filter = Filter { now_ns, ..Filter::default() };
        let pulls = events_in(body, &filter)?;
        let mut state = self.state();
        if state.pulls.len() + pulls.len() > MOST_WAITING {
            return Some(false);
        }
        state.from_ns.get_or_insert(now_ns);
        state.pulls.extend(pulls);
        Some(true)
    }

    /// Writes what waits into the database. It goes on waiting while a scan has the database, or when
    /// that cannot be written. Without events the time is noted every ten minutes, or when it is
    /// the `last` call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn write_to(
        &self,
        database: &Path,
        now_ns: i64,
        is_last: bool,
    ) -> Result<(), DatabaseError> {
        let is_due = |state: &Waiting, from_ns: i64| {
            is_last || !state.pulls.is_empty() || now_ns - from_ns >= QUIET_NS
        };
        let state = self.state();
        let Some(from_ns) = state.from_ns.filter(|from_ns| is_due(&state, *from_ns)) else {
            return Ok(());
        };
        drop(state);
        let Some(lock) = WriteLock::try_take(database)? else {
            return Ok(());
        };
        let (pulls, span) = {
            let mut state = self.state();
            let span = Span { from_ns, to_ns: now_ns.max(from_ns) };
            state.from_ns = Some(span.to_ns);
            (std::mem::take(&mut state.pulls), span)
        };
        let result = write(&lock, &pulls, span);
        if result.is_err() {
            let mut state = self.state();
            state.from_ns = Some(span.from_ns);
            let newer = std::mem::replace(&mut state.pulls, pulls);
            state.pulls.extend(newer);
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(lock: &WriteLock, pulls: &[Pull], span: Span) -> Result<(), DatabaseError> {
    let mut store = PullStore::begin(lock)?;
    for pull in pulls {
        store.add(pull, true)?;
    }
    store.end_log(&[span])?;
    store.commit()
}
