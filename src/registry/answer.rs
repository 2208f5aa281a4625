//! What came back, and what it says when it is an error.

use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::{Method, StatusCode};

use super::error::{RegistryError, shown};

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) method: Method,
    /// Without query.
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The text of a header, if it is ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where a redirect goes.
    pub(super) fn redirect(&self) -> Option<&str> {
        let is_redirect = StatusCode::from_u16(self.status).is_ok_and(|s| s.is_redirection());
        is_redirect.then(|| self.header(LOCATION.as_str())).flatten()
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
    }

    /// The codes of the registry's errors (OCI distribution specification, "Error Codes").
    pub(super) fn error_codes(&self) -> Vec<String> {
        self.errors().into_iter().filter_map(|error| error.code).collect()
    }

    fn errors(&self) -> Vec<ApiError> {
        let errors = serde_json::from_slice::<ApiErrors>(&self.body);
        errors.map(|body| body.errors).unwrap_or_default()
    }

    /// The error of an answer that a caller has no use for.
    pub(super) fn unexpected(&self) -> RegistryError {
        let (method, url) = (self.method.to_string(), self.url.clone());
        let detail = match self.errors().first() {
            Some(error) => {
                let texts = [&error.code, &error.message];
                let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
                format!(": {}", shown(&texts.join(": ")))
            }
            None => String::new(),
        };
        match self.status {
            401 | 403 => {
                let reason = format!("{}{detail}", self.status);
                RegistryError::Unauthorized { method, url, reason }
            }
            status => RegistryError::Status { method, url, status, detail },
        }
    }

    pub(super) fn makes_no_sense(&self, reason: impl Into<String>) -> RegistryError {
        let (method, url) = (self.method.to_string(), self.url.clone());
        RegistryError::BadAnswer { method, url, reason: reason.into() }
    }

    pub(super) fn unauthorized(&self, reason: impl Into<String>) -> RegistryError {
        let (method, url) = (self.method.to_string(), self.url.clone());
        RegistryError::Unauthorized { method, url, reason: reason.into() }
    }
}

#[derive(Deserialize)]
struct ApiErrors {
    errors: Vec<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: Option<String>,
    message: Option<String>,
}

/// An address as errors show it: a query may hold a signature or an upload's state.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
