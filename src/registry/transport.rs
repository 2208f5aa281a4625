//! One request and its answer: limits, timeouts, redirects, another try.

use std::io::{self, Read as _, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};

use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{self, Method, Uri};
use ureq::tls::{Certificate, PemItem, parse_pem};
use ureq::{Agent, Proxy};

use super::address::Address;
use super::answer::{Answer, without_query};
use super::credentials::Secret;
use super::error::{RegistryError, shown};
use super::options::Options;
use crate::tls::{self, Trust};

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// As much of an error's body as is read, in bytes.
const MAX_ERROR_BYTES: u64 = 64 << 10;
/// How often a request is sent on. Registries send at most once, to where blobs lie.
const MAX_REDIRECTS: u32 = 3;
/// As many requests as run at a time.
pub(super) const CONNECTIONS: usize = 8;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    /// The media types to accept.
    pub(super) accept: Option<&'a str>,
    /// The longest body to read, in bytes.
    pub(super) limit_bytes: u64,
}

/// Sends requests. Redirects are followed here and not by the library, so that it is this file
/// alone that says where credentials go.
#[derive(Debug)]
pub(super) struct Transport {
    agent: Agent,
    options: Options,
    has_proxy: bool,
}

impl Transport {
    pub(super) fn new(address: &Address, options: Options) -> Result<Self, RegistryError> {
        let proxy = proxy_for(address);
        let has_proxy = proxy.is_some();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEAD_BYTES)
            .max_idle_connections_per_host(CONNECTIONS)
            .timeout_global(Some(options.timeout))
            .proxy(proxy)
            .user_agent(concat!("regsql/", env!("CARGO_PKG_VERSION")));
        // A token server may have TLS where the registry has none, so always.
        let agent = tls::agent(config.build(), Trust::Certificates(&trusted(&options)?));
        Ok(Self { agent, options, has_proxy })
    }

    /// Whether every address of the host that can be tried refuses connections.
    ///
    /// Behind a proxy it cannot be known: the proxy may refuse too.
    pub(super) fn is_refused(&self, address: &Address) -> Result<bool, RegistryError> {
        if self.has_proxy {
            return Ok(false);
        }
        let unknown = || RegistryError::UnknownHost(address.to_string());
        let resolved: Vec<_> =
            address.host_and_port().to_socket_addrs().map_err(|_| unknown())?.collect();
        if resolved.is_empty() {
            return Err(unknown());
        }
        let mut is_refused = false;
        for socket in resolved {
            match TcpStream::connect_timeout(&socket, self.options.timeout) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    is_refused = true;
                }
                // `localhost` may have an address that this machine does not have.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Ok(_) => return Ok(false),
                Err(source) => {
                    return Err(RegistryError::Connection { url: address.to_string(), source });
                }
            }
        }
        Ok(is_refused)
    }

    /// Sends a request, and again when the registry is busy or the connection broke.
    ///
    /// `GET` and `HEAD` are sent on where the answer says, others are not: a registry answers
    /// those itself.
    pub(super) fn send(
        &self,
        request: &Request<'_>,
        authorization: Option<&Secret>,
    ) -> Result<Answer, RegistryError> {
        let mut pause = self.options.retry_pause;
        let mut tries_left = self.options.retries;
        loop {
            let result = self.follow(request, authorization, None);
            let wait = match &result {
                Ok(answer) if matches!(answer.status, 429 | 503) => answer.retry_after(),
                // A second upload would be another one.
                Err(error) if is_broken(error) && request.method != Method::POST => None,
                _ => return result,
            };
            if tries_left == 0 {
                return result;
            }
            std::thread::sleep(wait.unwrap_or(pause).min(Options::MAX_PAUSE));
            tries_left -= 1;
            pause *= 2;
        }
    }

    /// Sends a request once and writes the body of a 200 to `sink`, however long it is.
    pub(super) fn send_into(
        &self,
        request: &Request<'_>,
        authorization: Option<&Secret>,
        sink: &mut dyn Write,
    ) -> Result<Answer, RegistryError> {
        self.follow(request, authorization, Some(sink))
    }

    fn follow(
        &self,
        request: &Request<'_>,
        mut authorization: Option<&Secret>,
        mut sink: Option<&mut dyn Write>,
    ) -> Result<Answer, RegistryError> {
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let sink = sink.as_mut().map(|sink| &mut **sink as &mut dyn Write);
            let answer = self.exchange(&request, authorization, sink)?;
            let Some(location) = answer.redirect() else { return Ok(answer) };
            let refuse = |target: &str, reason| RegistryError::Redirect {
                method: request.method.to_string(),
                url: without_query(&request.url).to_owned(),
                target: shown(without_query(target)),
                reason,
            };
            if !matches!(request.method, Method::GET | Method::HEAD) {
                return Err(refuse(location, "only what reads is sent on"));
            }
            let here = Address::parse(&origin_of(&request.url))?;
            let target = if location.starts_with('/') && !location.starts_with("//") {
                format!("{}{location}", origin_of(&request.url))
            } else {
                location.to_owned()
            };
            let uri: Uri = target.parse().map_err(|_| refuse(location, "it is not an address"))?;
            match uri.scheme_str() {
                Some("https") => {}
                Some("http") if !here.is_https() => {}
                _ => return Err(refuse(location, "it is not safe")),
            }
            if !here.is_origin_of(&uri) {
                authorization = None;
            }
            request.url = target;
        }
        Err(RegistryError::Redirect {
            method: request.method.to_string(),
            url: without_query(&request.url).to_owned(),
            target: "yet another address".to_owned(),
            reason: "the redirects do not end",
        })
    }

    fn exchange(
        &self,
        request: &Request<'_>,
        authorization: Option<&Secret>,
        sink: Option<&mut dyn Write>,
    ) -> Result<Answer, RegistryError> {
        let error = |error| self.explain(request, error);
        let mut head = http::Request::builder().method(&request.method).uri(&request.url);
        if let Some(accept) = request.accept {
            head = head.header(http::header::ACCEPT, accept);
        }
        if let Some(secret) = authorization {
            let mut value = HeaderValue::from_str(secret.reveal())
                .map_err(|invalid| error(ureq::Error::Http(invalid.into())))?;
            value.set_sensitive(true);
            head = head.header(AUTHORIZATION, value);
        }
        let sent = if matches!(request.method, Method::POST | Method::PATCH) {
            self.agent.run(head.body(&[][..]).map_err(|e| error(e.into()))?)
        } else {
            self.agent.run(head.body(()).map_err(|e| error(e.into()))?)
        };
        let mut response = sent.map_err(error)?;
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        let limit = if is_error { MAX_ERROR_BYTES } else { request.limit_bytes };
        let mut body = Vec::new();
        if let Some(sink) = sink.filter(|_| response.status().as_u16() == 200) {
            let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
            io::copy(&mut reader, sink).map_err(|io| error(io.into()))?;
        } else if request.method != Method::HEAD {
            let reader = response.body_mut().with_config().limit(u64::MAX).reader();
            let read = reader.take(limit + 1).read_to_end(&mut body);
            read.map_err(|io| error(io.into()))?;
        }
        if body.len() as u64 > limit {
            if !is_error {
                return Err(too_long(request, "body", limit));
            }
            body.truncate(limit as usize);
        }
        let (parts, _) = response.into_parts();
        Ok(Answer {
            method: request.method.clone(),
            url: without_query(&request.url).to_owned(),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    fn explain(&self, request: &Request<'_>, error: ureq::Error) -> RegistryError {
        let method = request.method.to_string();
        let url = without_query(&request.url).to_owned();
        // A body's reader gives the library's errors wrapped.
        let error = match error {
            ureq::Error::Io(io) => match io.downcast::<ureq::Error>() {
                Ok(inner) => inner,
                Err(io) => ureq::Error::Io(io),
            },
            other => other,
        };
        match error {
            ureq::Error::Timeout(_) => {
                RegistryError::Timeout { method, url, timeout: self.options.timeout }
            }
            ureq::Error::HostNotFound => RegistryError::UnknownHost(url),
            ureq::Error::LargeResponseHeader(..) => {
                too_long(request, "head", MAX_HEAD_BYTES as u64)
            }
            ureq::Error::Io(source) if source.kind() == io::ErrorKind::TimedOut => {
                RegistryError::Timeout { method, url, timeout: self.options.timeout }
            }
            // What rustls says of a certificate comes as an I/O error.
            ureq::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                let reason = shown(&source.to_string());
                if request.url.starts_with("https:") {
                    RegistryError::Tls { url, reason }
                } else {
                    RegistryError::BadAnswer { method, url, reason }
                }
            }
            ureq::Error::Io(source) => RegistryError::Connection { url, source },
            ureq::Error::ConnectionFailed => {
                RegistryError::Connection { url, source: io::ErrorKind::NotConnected.into() }
            }
            ureq::Error::ConnectProxyFailed(reason) => {
                let source = io::Error::other(format!("the proxy says {}", shown(&reason)));
                RegistryError::Connection { url, source }
            }
            error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => {
                RegistryError::Tls { url, reason: shown(&error.to_string()) }
            }
            error => RegistryError::BadAnswer { method, url, reason: shown(&error.to_string()) },
        }
    }
}

fn too_long(request: &Request<'_>, part: &'static str, limit_bytes: u64) -> RegistryError {
    RegistryError::TooLong {
        method: request.method.to_string(),
        url: without_query(&request.url).to_owned(),
        part,
        limit_bytes,
    }
}

/// Whether the same request may well succeed on a new connection.
fn is_broken(error: &RegistryError) -> bool {
    let RegistryError::Connection { source, .. } = error else { return false };
    matches!(
        source.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// This very machine is not reached through a proxy.
fn proxy_for(address: &Address) -> Option<Proxy> {
    let (host, _) = address.host_and_port();
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let uri: Uri = address.to_string().parse().ok()?;
    Proxy::try_from_env().filter(|proxy| !is_loopback && !proxy.is_no_proxy(&uri))
}

/// The system's certificates and the caller's.
fn trusted(options: &Options) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let system = rustls_native_certs::load_native_certs().certs;
    let mut trusted: Vec<_> =
        system.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if let Some(pem) = &options.ca_pem {
        let before = trusted.len();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => trusted.push(certificate),
                Ok(_) => {}
                Err(error) => return Err(RegistryError::BadCa(shown(&error.to_string()))),
            }
        }
        if trusted.len() == before {
            return Err(RegistryError::BadCa("there is none in it".to_owned()));
        }
    }
    Ok(trusted)
}

/// `http://host:port` of an address.
fn origin_of(url: &str) -> String {
    let start = url.find("://").map_or(0, |index| index + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |index| start + index);
    url[..end].to_owned()
}
