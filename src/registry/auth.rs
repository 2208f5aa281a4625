//! Who a request comes from: anonymous, a user with a password, or a token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::header::WWW_AUTHENTICATE;
use ureq::http::{Method, Uri};

use super::address::without_user;
use super::answer::{Answer, without_query};
use super::challenge::{self, Challenge};
use super::credentials::{Credentials, Secret};
use super::error::{RegistryError, shown};
use super::transport::{Request, Transport};

/// The longest answer of a token server, in bytes. Tokens with many rights have some KiB.
const MAX_TOKEN_ANSWER_BYTES: u64 = 1 << 20;
/// How long a token holds whose server does not say (token specification).
const TOKEN_SECONDS: u64 = 60;

/// What a request does to a repository. Rights are given for these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    /// The actions to ask a token for when the challenge names none.
    fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }
}

/// What a request does, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'a> {
    pub(super) repository: &'a str,
    pub(super) action: Action,
}

/// What was learned about authentication, shared by all requests.
#[derive(Debug)]
pub(super) struct Auth {
    credentials: Option<Credentials>,
    is_https: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    is_basic: bool,
    tokens: HashMap<(String, Action), Token>,
}

#[derive(Debug)]
struct Token {
    header: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    /// `is_https` of the registry: then a token server must have TLS too.
    pub(super) fn new(credentials: Option<Credentials>, is_https: bool) -> Self {
        Self { credentials, is_https, known: Mutex::default() }
    }

    /// The header for a request, as far as one is known to be needed. Nothing is sent to a server
    /// that has not asked.
    pub(super) fn header(&self, access: Access<'_>) -> Option<Secret> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_basic {
            return self.credentials.as_ref().map(Credentials::basic);
        }
        let token = known.tokens.get(&key(access))?;
        (token.until > Instant::now()).then(|| token.header.clone())
    }

    /// The header for a second try after a 401 to one that was sent with `stale`.
    pub(super) fn renew(
        &self,
        transport: &Transport,
        refusal: &Answer,
        access: Access<'_>,
        stale: Option<&Secret>,
    ) -> Result<Secret, RegistryError> {
        // Held while a token is fetched, so that several threads fetch it once.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = known.tokens.get(&key(access))
            && stale != Some(&token.header)
            && token.until > Instant::now()
        {
            return Ok(token.header.clone());
        }
        let headers = refusal.headers.get_all(WWW_AUTHENTICATE);
        match challenge::choose(headers.iter().filter_map(|value| value.to_str().ok())) {
            None => Err(refusal.unauthorized("it does not say how to log in")),
            Some(Challenge::Basic) => {
                let Some(credentials) = &self.credentials else {
                    return Err(refusal.unauthorized("it wants a user and a password"));
                };
                let header = credentials.basic();
                if stale == Some(&header) {
                    return Err(refusal.unauthorized("wrong user or password"));
                }
                known.is_basic = true;
                Ok(header)
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = allowed_scope(scope.as_deref(), access);
                let token = self.fetch(transport, &realm, service.as_deref(), &scope)?;
                let header = token.header.clone();
                known.tokens.insert(key(access), token);
                Ok(header)
            }
        }
    }

    fn fetch(
        &self,
        transport: &Transport,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Token, RegistryError> {
        let failed = |reason: String| RegistryError::Token {
            realm: shown(without_user(without_query(realm))),
            reason,
        };
        let uri: Uri = realm.parse().map_err(|_| failed("it is not an address".into()))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if !self.is_https => {}
            _ => return Err(failed("it is not https, as the registry is".into())),
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(failed("it is not an address".into()));
        }
        let mut url = realm.split('#').next().unwrap_or_default().to_owned();
        for (name, value) in [("service", service), ("scope", Some(scope))] {
            if let Some(value) = value {
                url.push(if url.contains('?') { '&' } else { '?' });
                url.extend([name, "=", &query_value(value)]);
            }
        }
        let request =
            Request { method: Method::GET, url, accept: None, limit_bytes: MAX_TOKEN_ANSWER_BYTES };
        let basic = self.credentials.as_ref().map(Credentials::basic);
        let answer = transport.send(&request, basic.as_ref())?;
        match answer.status {
            200 => {}
            401 | 403 if self.credentials.is_some() => {
                return Err(answer.unauthorized("wrong user or password"));
            }
            401 | 403 => return Err(answer.unauthorized("it wants a user and a password")),
            _ => return Err(answer.unexpected()),
        }
        let asked = Instant::now();
        // What serde says could repeat the token.
        let parsed: TokenAnswer = serde_json::from_slice(&answer.body)
            .map_err(|_| failed("its answer is not the JSON that it should be".into()))?;
        let token = parsed.token.or(parsed.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| failed("there is none in its answer".into()))?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed("it holds characters that a token cannot have".into()));
        }
        let seconds = parsed.expires_in.unwrap_or(TOKEN_SECONDS).clamp(1, 86_400);
        Ok(Token {
            header: Secret::new(format!("Bearer {token}")),
            until: asked + Duration::from_secs(seconds),
        })
    }
}

fn key(access: Access<'_>) -> (String, Action) {
    (access.repository.to_owned(), access.action)
}

/// The scope of the challenge if it is about this repository and these actions, else our own: a
/// registry must not make a token server give it a token for something else.
fn allowed_scope(asked: Option<&str>, access: Access<'_>) -> String {
    let own = format!("repository:{}:", access.repository);
    let is_allowed = |scope: &&str| {
        scope.strip_prefix(own.as_str()).is_some_and(|actions| {
            actions.split(',').all(|action| matches!(action, "pull" | "push" | "delete" | "*"))
        })
    };
    match asked.filter(is_allowed) {
        Some(scope) => scope.to_owned(),
        None => own + access.action.scope(),
    }
}

/// `text` as a value in a query (RFC 3986, "unreserved" characters stay).
fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            value.push(byte as char);
        } else {
            let _infallible = write!(value, "%{byte:02X}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_cannot_have_a_token_fetched_for_something_else() {
        let access = Access { repository: "a/b", action: Action::Delete };
        let scope = |asked| allowed_scope(Some(asked), access);
        assert_eq!(scope("repository:a/b:delete"), "repository:a/b:delete");
        assert_eq!(scope("repository:a/b:*"), "repository:a/b:*");
        for asked in
            ["repository:other:pull", "registry:catalog:*", "repository:a/b:admin", "", "x"]
        {
            assert_eq!(scope(asked), "repository:a/b:pull,push,delete", "{asked}");
        }
    }

    #[test]
    fn values_of_a_query_cannot_add_others() {
        assert_eq!(query_value("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
        assert_eq!(query_value("a&b=c ü"), "a%26b%3Dc%20%C3%BC");
    }
}
