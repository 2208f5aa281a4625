//! HTTP/1.1 on a socket, with a bound on everything a client can make large, many or slow.
//!
//! One request a connection: a scraper comes every few seconds, so keeping connections would save
//! nothing, and a connection that is done within its time can never pile up.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::site::Site;
use crate::pulls::Notifications;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: u32 = 128;
/// From the first byte of a request's head to its last.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// From the beginning of a connection to its end, however slowly the client reads.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
/// Of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Of the registry's notifications; it sends a few events at once.
const MAX_EVENTS_BYTES: usize = 1 << 20;
/// What answers that are on their way may take when the server stops.
const STOP_TIME: Duration = Duration::from_secs(3);
/// After the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// On every answer: names from the registry are no scripts, and nothing is loaded from elsewhere.
const SECURITY_HEADERS: &[(HeaderName, &str)] = &[
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// A server in a thread of its own.
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Answers from `site` what comes in on `listener`.
    pub fn start(
        listener: TcpListener,
        site: Arc<Site>,
        events: Option<Arc<Notifications>>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("regsql-http".into())
            .spawn(move || runtime.block_on(run(listener, site, events, stopped)))?;
        Ok(Self { stop, thread })
    }

    /// Takes no more connections, lets the answers that are on their way go out, and ends.
    pub fn stop(self) {
        drop(self.stop);
        drop(self.thread.join());
    }
}

async fn run(
    listener: tokio::net::TcpListener,
    site: Arc<Site>,
    events: Option<Arc<Notifications>>,
    stopped: oneshot::Receiver<()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let accepting = tokio::spawn(accept(listener, site, events, Arc::clone(&slots)));
    // An error is the sender's drop: also a stop.
    let _ = stopped.await;
    accepting.abort();
    drop(timeout(STOP_TIME, slots.acquire_many(MAX_CONNECTIONS)).await);
}

async fn accept(
    listener: tokio::net::TcpListener,
    site: Arc<Site>,
    events: Option<Arc<Notifications>>,
    slots: Arc<Semaphore>,
) {
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (site, events) = (Arc::clone(&site), events.clone());
        tokio::spawn(async move {
            let _slot = slot;
            // A client that is too slow, gone or no speaker of HTTP is not worth a word.
            drop(timeout(CONNECTION_TIME, answer_one(stream, site, events)).await);
        });
    }
}

async fn answer_one(
    stream: TcpStream,
    site: Arc<Site>,
    events: Option<Arc<Notifications>>,
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let (site, events) = (Arc::clone(&site), events.clone());
        async move {
            let is_event = *request.method() == Method::POST && request.uri().path() == EVENTS_PATH;
            Ok::<_, Infallible>(match events {
                Some(events) if is_event && is_for(&request, &site) => {
                    take_events(request, &events).await
                }
                _ => response(&request, &site),
            })
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Whether everything that names a host in a request names this one. A browser always names one.
fn is_for(request: &Request<Incoming>, site: &Site) -> bool {
    let named = request.headers().get_all(header::HOST);
    named.iter().all(|host| host.to_str().is_ok_and(|host| site.is_host(host)))
        && request.uri().host().is_none_or(|host| site.is_host(host))
}

/// Where the registry's notifications come in.
const EVENTS_PATH: &str = "/events";

/// Takes notifications in. The registry sends again what is not answered with 200.
async fn take_events(request: Request<Incoming>, events: &Notifications) -> Response<Full<Bytes>> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let status = if !events.allows(header(header::AUTHORIZATION)) {
        StatusCode::UNAUTHORIZED
    } else if !header(header::CONTENT_TYPE).is_some_and(|text| text.contains("json")) {
        // A web page can send any other type without asking.
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        match Limited::new(request.into_body(), MAX_EVENTS_BYTES).collect().await {
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Ok(body) => match events.take(&body.to_bytes(), super::now_ns()) {
                Some(true) => StatusCode::OK,
                Some(false) => StatusCode::SERVICE_UNAVAILABLE,
                None => StatusCode::BAD_REQUEST,
            },
        }
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn response(request: &Request<Incoming>, site: &Site) -> Response<Full<Bytes>> {
    let mut response = if !is_for(request, site) {
        let text = "this server is not called so; regsql serve --allow-host NAME allows a name\n";
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
        response
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let answer = site.answer(request.uri().path(), accept);
        let mut response = Response::new(Full::new(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = HeaderValue::from_static(answer.content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    } else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Caches between must not give a browser's page to a scraper.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}
