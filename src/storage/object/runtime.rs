//! Credentials of the providers, through `object_store`: it is asynchronous, and what calls it is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::Uri;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, CredentialProvider, RetryConfig};

use super::BucketError;
use super::BucketErrorKind;
use super::http::Asked;
use super::http::{Bounds, agent, exchange};

/// How long a credential is used without asking its provider. What is close to its end is renewed by
/// the provider minutes before.
const KEPT: Duration = Duration::from_secs(30);
/// How long the service of a cloud for its own machines may take: elsewhere nothing answers there.
const METADATA: Duration = Duration::from_secs(5);

/// Where the credential of a request comes from.
pub(super) struct Credentials<T> {
    provider: Arc<dyn CredentialProvider<Credential = T>>,
    kept: Mutex<Option<(Arc<T>, Instant)>>,
}

impl<T> std::fmt::Debug for Credentials<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl<T> Credentials<T> {
    pub(super) fn new(provider: Arc<dyn CredentialProvider<Credential = T>>) -> Self {
        Self { provider, kept: Mutex::new(None) }
    }

    /// The credential to sign with now.
    pub(super) fn get(&self, asked: Asked<'_>, hint: &str) -> Result<Arc<T>, BucketError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credential, since)) = &*kept
            && since.elapsed() < KEPT
        {
            return Ok(Arc::clone(credential));
        }
        let denied = |reason: &str| {
            let reason = format!("no credentials: {reason}");
            asked.error(BucketErrorKind::Denied, &reason).with_hint(hint)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| denied(&error.to_string()))?;
        let credential = runtime
            .block_on(self.provider.get_credential())
            .map_err(|error| denied(&without_answer(&chain(&error))))?;
        *kept = Some((Arc::clone(&credential), Instant::now()));
        Ok(credential)
    }
}

/// What a server of tokens answered may repeat what it was asked with, secrets among it. Of its answer only that stays
/// which RFC 6749, section 5.2, has for a person.
fn without_answer(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<String>,
    }
    let Some((before, after)) = text.split_once("non-2xx status code: ") else {
        return text.to_owned();
    };
    let (status, body) = after.split_once(": ").unwrap_or((after, ""));
    let refused = serde_json::Deserializer::from_str(body).into_iter::<Refused>().next();
    let why = refused.and_then(Result::ok).map(|refused| match refused.error_description {
        Some(description) => format!(": {}: {description}", refused.error),
        None => format!(": {}", refused.error),
    });
    format!("{before}status code {status}{}", why.unwrap_or_default())
}

/// An error and its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Few tries: a machine outside a cloud must not wait for its metadata service.
pub(super) fn retries() -> RetryConfig {
    RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

/// Sends `object_store`'s requests for tokens.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service))
    }
}

#[derive(Debug)]
struct Service;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_metadata = is_metadata(request.uri());
        if is_metadata && is_off() {
            let failed = Failed("none is set, and AWS_EC2_METADATA_DISABLED is".to_owned());
            return Err(HttpError::new(HttpErrorKind::Unknown, failed));
        }
        let url = request.uri().to_string();
        let (parts, body) = request.into_parts();
        let body = body.as_bytes().map(|bytes| bytes.to_vec()).unwrap_or_default();
        let request = http::Request::from_parts(parts, body);
        let mut bounds = Bounds::bytes(1 << 20);
        if is_metadata {
            bounds.time = METADATA;
        }
        let reply = exchange(&agent(&url, false), &request, bounds).map_err(|broken| {
            HttpError::new(HttpErrorKind::Connect, Failed(broken.reason().to_owned()))
        })?;
        let body = http_body_util::Full::new(bytes::Bytes::from(reply.body));
        let body =
            http_body_util::BodyExt::map_err(
                body,
                |never: std::convert::Infallible| match never {},
            );
        let mut response = http::Response::builder().status(reply.status);
        if let Some(headers) = response.headers_mut() {
            *headers = reply.headers;
        }
        response
            .body(HttpResponseBody::new(body))
            .map_err(|error| HttpError::new(HttpErrorKind::Decode, error))
    }
}

/// An address that only machines of a cloud have.
fn is_metadata(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| {
        host == "metadata.google.internal"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| match ip {
                std::net::IpAddr::V4(ip) => ip.is_link_local(),
                std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
            })
    })
}

/// AWS's own variable for it, taken for all three.
fn is_off() -> bool {
    std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}
