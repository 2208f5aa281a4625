//! Requests over HTTP: timeouts, bounds, retries with jitter, and as many at a time as the provider
//! takes.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Uri};
use ureq::tls::Certificate;
use ureq::{Agent, Proxy};

use super::{BucketError, BucketErrorKind};
use crate::tls::{self, Trust};

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// As much of an error's body as is read, in bytes.
const MAX_ERROR_BYTES: u64 = 64 << 10;
/// What is written to a connection at once, in bytes.
const OUTPUT_BYTES: usize = 32 << 10;
/// The most that is read of `AWS_CA_BUNDLE`, in bytes: the certificates of all public authorities have a
/// quarter of a megabyte.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take, with its answer.
const REQUEST: Duration = Duration::from_mins(2);
/// How often a request is sent that the provider throttles.
const THROTTLED_TRIES: u32 = 10;
/// How often a request is sent that breaks or meets an error of the server.
const BROKEN_TRIES: u32 = 6;
/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// Requests at a time, at most and at the start.
const MOST: usize = 256;
const AT_START: usize = 64;

/// What an error's message says of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// `LIST`, `GET`…
    pub(super) request: &'static str,
    /// The bucket's URL without secrets.
    pub(super) bucket_url: &'a str,
    /// The key or prefix.
    pub(super) key: &'a str,
}

impl Asked<'_> {
    pub(super) fn error(&self, kind: BucketErrorKind, reason: &str) -> BucketError {
        BucketError::new(kind, self.request, self.bucket_url, self.key, reason)
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether an earlier try may have been carried out though its answer was none.
    pub(super) is_repeated: bool,
    /// How often it was asked for.
    pub(super) tries: u32,
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the provider wants fewer requests. Google also says so with 403 ("Usage limits").
    pub(super) fn is_throttled(&self) -> bool {
        let is_limit = || {
            let body = String::from_utf8_lossy(&self.body);
            body.contains("rateLimitExceeded") || body.contains("userRateLimitExceeded")
        };
        matches!(self.status, 429 | 503) || (self.status == 403 && is_limit())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The error that this answer is, with what its head and its tries say of it.
    pub(super) fn explain(&self, mut error: BucketError) -> BucketError {
        error.reason.push_str(&asked_times(self.tries));
        let server_ns = self.header("date").and_then(super::http_time);
        if error.kind == BucketErrorKind::Denied
            && let Some(server_ns) = server_ns
            && let Some(skew) = skew(server_ns, jiff::Timestamp::now())
        {
            return error.with_hint(format!(
                "set the clock of this machine: it is {skew} that of the server"
            ));
        }
        error
    }
}

/// The difference between two clocks that providers begin to refuse (S3 and Azure: 15 minutes), in seconds.
const MAX_SKEW_SECONDS: i64 = 5 * 60;

/// How far this machine's clock is from a server's, if that is too far.
fn skew(server_ns: i64, here: jiff::Timestamp) -> Option<String> {
    let seconds = here.as_second() - server_ns / 1_000_000_000;
    let distance = jiff::SignedDuration::from_secs(seconds.abs());
    let side = if seconds > 0 { "ahead of" } else { "behind" };
    (seconds.abs() > MAX_SKEW_SECONDS).then(|| format!("{distance:#} {side}"))
}

fn asked_times(tries: u32) -> String {
    if tries > 1 { format!(" (asked {tries} times)") } else { String::new() }
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The longest body to read, in bytes.
    pub(super) body_bytes: u64,
    /// How long it may take.
    pub(super) time: Duration,
}

impl Bounds {
    /// Of an answer that is a document.
    pub(super) const DOCUMENT: Self = Self::bytes(32 << 20);

    pub(super) const fn bytes(body_bytes: u64) -> Self {
        Self { body_bytes, time: REQUEST }
    }
}

/// The longest content that is asked for without a range, in bytes.
const MAX_WHOLE_BYTES: u64 = 256 << 20;

/// Which bytes of an object are wanted: a range of them, or all.
pub(super) struct Wanted(Option<Range<u64>>);

impl Wanted {
    /// `None` when none are.
    pub(super) fn new(range: Option<Range<u64>>) -> Option<Self> {
        (!range.as_ref().is_some_and(Range::is_empty)).then_some(Self(range))
    }

    /// The value of a range header (RFC 9110, section 14.2).
    pub(super) fn header(&self) -> Option<String> {
        self.0.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1))
    }

    /// A server may give the whole instead of a range.
    pub(super) fn bounds(&self) -> Bounds {
        let length = self.0.as_ref().map_or(0, |range| range.end - range.start);
        Bounds::bytes(length.max(MAX_WHOLE_BYTES))
    }

    /// The bytes in an answer; `failed` says what one is that has none.
    pub(super) fn of(
        self,
        asked: Asked<'_>,
        reply: Reply,
        failed: impl FnOnce(&Reply) -> BucketError,
    ) -> Result<Vec<u8>, BucketError> {
        match (reply.status, self.0) {
            (200, None) => Ok(reply.body),
            (206, Some(range)) if reply.body.len() as u64 <= range.end - range.start => {
                Ok(reply.body)
            }
            (200, Some(range)) => {
                let length = reply.body.len() as u64;
                let part = range.start.min(length) as usize..range.end.min(length) as usize;
                Ok(reply.body.get(part).unwrap_or_default().to_vec())
            }
            // Past the end.
            (416, Some(_)) => Ok(Vec::new()),
            (206, _) => Err(asked.error(BucketErrorKind::BadAnswer, "it gave another range")),
            _ => Err(failed(&reply)),
        }
    }
}

/// A client of one provider.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    gate: Gate,
    requests: AtomicU64,
}

impl Http {
    /// A client of the server at `endpoint`.
    pub(super) fn new(endpoint: &str, skips_verification: bool) -> Self {
        Self {
            agent: agent(endpoint, skips_verification),
            gate: Gate::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Requests sent so far, each try counted.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends what `make` makes, and again while the provider throttles, has an error of its own, or
    /// `is_passing` says that the answer may be another one next time.
    pub(super) fn send(
        &self,
        asked: Asked<'_>,
        bounds: Bounds,
        is_passing: &dyn Fn(&Reply) -> bool,
        make: &mut dyn FnMut() -> Result<Request<Vec<u8>>, BucketError>,
    ) -> Result<Reply, BucketError> {
        let mut tries = 0;
        let mut is_repeated = false;
        loop {
            tries += 1;
            let request = make()?;
            let permit = self.gate.enter();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let result = exchange(&self.agent, &request, bounds);
            let is_throttled = result.as_ref().is_ok_and(Reply::is_throttled);
            permit.leave(is_throttled);
            let (most, wait) = match result {
                Ok(mut reply) => {
                    let is_broken = matches!(reply.status, 408 | 500 | 502 | 504);
                    let is_again = is_throttled || is_broken || is_passing(&reply);
                    let most = if is_throttled { THROTTLED_TRIES } else { BROKEN_TRIES };
                    if !is_again || tries >= most {
                        reply.is_repeated = is_repeated;
                        reply.tries = tries;
                        return Ok(reply);
                    }
                    is_repeated |= is_broken;
                    (most, retry_after(&reply.headers))
                }
                Err(broken) if broken.is_final || tries >= BROKEN_TRIES => {
                    let mut error = broken.into_error(asked);
                    error.reason.push_str(&asked_times(tries));
                    return Err(error);
                }
                Err(broken) => {
                    is_repeated |= broken.was_sent;
                    (BROKEN_TRIES, None)
                }
            };
            debug_assert!(tries < most);
            // Requests that were throttled together are repeated at different times, and none at once.
            std::thread::sleep(wait.unwrap_or_default().min(MAX_PAUSE) + jittered(tries));
        }
    }
}

/// Sends a request once, without waiting for its turn.
pub(super) fn exchange(
    agent: &Agent,
    request: &Request<Vec<u8>>,
    bounds: Bounds,
) -> Result<Reply, Broken> {
    let mut head = Request::builder().method(request.method()).uri(request.uri());
    if let Some(headers) = head.headers_mut() {
        headers.clone_from(request.headers());
    }
    let invalid = |error: http::Error| Broken::from(ureq::Error::Http(error));
    let has_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let time = Some(bounds.time);
    let sent = if has_body {
        let request = head.body(request.body().as_slice()).map_err(invalid)?;
        agent.run(agent.configure_request(request).timeout_global(time).build())
    } else {
        let request = head.body(()).map_err(invalid)?;
        agent.run(agent.configure_request(request).timeout_global(time).build())
    };
    let mut response = sent.map_err(Broken::from)?;
    let status = response.status().as_u16();
    let limit = if status >= 300 { MAX_ERROR_BYTES } else { bounds.body_bytes };
    let mut body = Vec::new();
    if *request.method() != Method::HEAD {
        let reader = response.body_mut().with_config().limit(u64::MAX).reader();
        reader
            .take(limit + 1)
            .read_to_end(&mut body)
            .map_err(|io| Broken::from(ureq::Error::Io(io)))?;
    }
    if body.len() as u64 > limit {
        if status < 300 {
            return Err(Broken {
                kind: BucketErrorKind::BadAnswer,
                reason: format!("the answer is longer than {limit} bytes"),
                is_final: true,
                was_sent: true,
            });
        }
        body.truncate(limit as usize);
    }
    let (parts, _) = response.into_parts();
    Ok(Reply { status, headers: parts.headers, body, is_repeated: false, tries: 1 })
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Broken {
    kind: BucketErrorKind,
    reason: String,
    /// Another try would end in the same way.
    is_final: bool,
    /// The server may have carried it out.
    was_sent: bool,
}

impl Broken {
    pub(super) fn into_error(self, asked: Asked<'_>) -> BucketError {
        asked.error(self.kind, &self.reason)
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<ureq::Error> for Broken {
    fn from(error: ureq::Error) -> Self {
        // A body's reader gives the library's errors wrapped.
        let error = match error {
            ureq::Error::Io(io) => match io.downcast::<ureq::Error>() {
                Ok(inner) => inner,
                Err(io) => ureq::Error::Io(io),
            },
            other => other,
        };
        let (is_final, was_sent) = match &error {
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => (false, false),
            ureq::Error::Io(io) => match io.kind() {
                io::ErrorKind::ConnectionRefused => (false, false),
                // What rustls says of a certificate comes as an I/O error.
                io::ErrorKind::InvalidData => (true, false),
                _ => (false, true),
            },
            ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => (false, true),
            _ => (true, false),
        };
        let kind = match &error {
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
                BucketErrorKind::BadAnswer
            }
            _ => BucketErrorKind::Unavailable,
        };
        Self { kind, reason: error.to_string(), is_final, was_sent }
    }
}

/// An agent for the server at `url`.
pub(super) fn agent(url: &str, skips_verification: bool) -> Agent {
    let trust =
        if skips_verification { Trust::Anybody } else { Trust::Certificates(system_roots()) };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(MAX_HEAD_BYTES)
        // Of each connection, of which there may be 256. A head must fit.
        .input_buffer_size(MAX_HEAD_BYTES)
        .output_buffer_size(OUTPUT_BYTES)
        .max_idle_connections(MOST)
        .max_idle_connections_per_host(MOST)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(REQUEST))
        .proxy(proxy_for(url))
        .user_agent(concat!("regsql/", env!("CARGO_PKG_VERSION")))
        .build();
    tls::agent(config, trust)
}

/// The system's certificates, which `SSL_CERT_FILE` and `AWS_CA_BUNDLE` may name.
fn system_roots() -> &'static [Certificate<'static>] {
    static ROOTS: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let system = rustls_native_certs::load_native_certs().certs;
        let mut roots: Vec<_> =
            system.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let bundle = std::env::var_os("AWS_CA_BUNDLE")
            .and_then(|path| read_bounded(Path::new(&path), MAX_BUNDLE_BYTES).ok());
        for item in bundle.iter().flat_map(|pem| ureq::tls::parse_pem(pem)).flatten() {
            if let ureq::tls::PemItem::Certificate(certificate) = item {
                roots.push(certificate);
            }
        }
        roots
    })
}

/// The content of a file of the environment.
///
/// # Errors
/// When it cannot be read, or is longer than `limit` bytes.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Neither this machine nor a service that only machines of a cloud have is reached through a proxy.
fn proxy_for(url: &str) -> Option<Proxy> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?;
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_near = host == "localhost"
        || host == "metadata.google.internal"
        || ip.is_some_and(|ip| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
        });
    Proxy::try_from_env().filter(|proxy| !is_near && !proxy.is_no_proxy(&uri))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Between half of the pause after so many tries and all of it, so that many clients do not come
/// again at once.
fn jittered(tries: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(10)).min(MAX_PAUSE);
    let random = RandomState::new().build_hasher().finish();
    pause / 2 + pause.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0)
}

/// Lets in as many requests as the provider takes: twice as many after each round that went well until one is
/// throttled, half as many after that one, and from then on one more after each good round.
#[derive(Debug)]
struct Gate {
    state: Mutex<GateState>,
    freed: Condvar,
}

#[derive(Debug)]
struct GateState {
    limit: f64,
    running: usize,
    cut_at: Option<Instant>,
}

impl Default for Gate {
    fn default() -> Self {
        let state = GateState { limit: AT_START as f64, running: 0, cut_at: None };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }
}

impl Gate {
    fn enter(&self) -> Permit<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |state: &mut GateState| state.running >= state.limit as usize;
        let mut state =
            self.freed.wait_while(state, is_full).unwrap_or_else(PoisonError::into_inner);
        state.running += 1;
        Permit { gate: self, entered_at: Instant::now(), is_left: false }
    }
}

struct Permit<'a> {
    gate: &'a Gate,
    entered_at: Instant,
    is_left: bool,
}

impl Permit<'_> {
    fn leave(mut self, is_throttled: bool) {
        self.is_left = true;
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        if is_throttled {
            // All that run are throttled at once: that is one word of the provider, not many.
            let is_new = state.cut_at.is_none_or(|at| self.entered_at > at);
            if is_new {
                state.limit = (state.limit / 2.0).max(1.0);
                state.cut_at = Some(Instant::now());
            }
        } else {
            let more = if state.cut_at.is_none() { 1.0 } else { 1.0 / state.limit };
            state.limit = (state.limit + more).min(MOST as f64);
            // Room for one more than left.
            self.gate.freed.notify_one();
        }
        drop(state);
        self.gate.freed.notify_one();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_left {
            let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.running -= 1;
            drop(state);
            self.gate.freed.notify_one();
        }
    }
}

/// Characters that may stand in a path or query as they are (RFC 3986, "unreserved").
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Percent-encodes all but what is unreserved, and `/` where `keeps_slash`.
pub(super) fn encode(text: &str, keeps_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_unreserved(byte) || (keeps_slash && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&super::hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

/// `a=b&c=d`, encoded.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        if value.is_empty() {
            format!("{}=", encode(name, false))
        } else {
            format!("{}={}", encode(name, false), encode(value, false))
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// What a percent-encoded text stands for; `+` is a space where `plus_is_space`. Bytes that are no
/// UTF-8 become U+FFFD: nothing can be asked of such a key, and it is shown.
pub(super) fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.to_owned();
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            let is_space = plus_is_space && bytes[at] == b'+';
            decoded.push(if is_space { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8(decoded)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_from_a_whole_answer_and_a_longer_part_is_refused() {
        let asked = Asked { request: "GET", bucket_url: "s3://bucket", key: "key" };
        let got = |range: Option<Range<u64>>, status, body: &[u8]| {
            let (headers, body) = (HeaderMap::new(), body.into());
            let reply = Reply { status, headers, body, is_repeated: false, tries: 1 };
            let failed = |reply: &Reply| {
                asked.error(BucketErrorKind::Unavailable, &reply.status.to_string())
            };
            let bytes = Wanted::new(range).unwrap().of(asked, reply, failed);
            bytes.map_err(|error| error.kind)
        };
        assert!(Wanted::new(Some(3..3)).is_none());
        assert_eq!(Wanted::new(Some(2..5)).unwrap().header().unwrap(), "bytes=2-4");
        assert_eq!(got(None, 200, b"abcdef").unwrap(), b"abcdef");
        assert_eq!(got(Some(2..5), 206, b"cde").unwrap(), b"cde");
        assert_eq!(got(Some(2..5), 200, b"abcdef").unwrap(), b"cde");
        assert_eq!(got(Some(4..9), 200, b"abcdef").unwrap(), b"ef");
        assert_eq!(got(Some(7..9), 416, b"").unwrap(), b"");
        assert_eq!(got(Some(2..5), 206, b"abcdef").unwrap_err(), BucketErrorKind::BadAnswer);
        assert_eq!(got(None, 206, b"abc").unwrap_err(), BucketErrorKind::BadAnswer);
        assert_eq!(got(Some(2..5), 503, b"").unwrap_err(), BucketErrorKind::Unavailable);
    }
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text, true), false), text.clone());
            prop_assert_eq!(decode(&encode(&text, false), true), text);
        }

        #[test]
        fn any_text_decodes_to_something(text in any::<String>()) {
            decode(&text, true);
        }
    }

    #[test]
    fn a_clock_is_called_wrong_when_providers_refuse_it() {
        let here = "2026-11-26T12:00:00Z".parse().unwrap();
        let says = |text: &str| skew(super::super::http_time(text).unwrap(), here);
        assert_eq!(says("Thu, 26 Nov 2026 12:04:00 GMT"), None);
        assert_eq!(says("Thu, 26 Nov 2026 13:30:00 GMT").unwrap(), "1h 30m behind");
        assert_eq!(says("Thu, 26 Nov 2026 11:50:00 GMT").unwrap(), "10m ahead of");
    }

    #[test]
    fn a_throttled_round_halves_the_requests_at_a_time() {
        let gate = Gate::default();
        let permits: Vec<_> = (0..AT_START).map(|_| gate.enter()).collect();
        for permit in permits {
            permit.leave(true);
        }
        assert_eq!(gate.state.lock().unwrap().limit as usize, AT_START / 2);
        for _ in 0..AT_START {
            gate.enter().leave(false);
        }
        let limit = gate.state.lock().unwrap().limit as usize;
        assert!((AT_START / 2 + 1..AT_START).contains(&limit), "{limit}");
    }

    #[test]
    fn a_provider_that_never_throttles_is_asked_for_the_most_soon() {
        let gate = Gate::default();
        for _ in AT_START..MOST + 10 {
            gate.enter().leave(false);
        }
        assert_eq!(gate.state.lock().unwrap().limit as usize, MOST);
    }
}
