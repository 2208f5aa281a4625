//! Who a request comes from, and secrets that do not show.
//!
//! The crate `docker_credential` (1.4) is not used: it runs the helper programs that the file names,
//! with no limit of time, and keeps passwords in types that `Debug` shows.

use std::collections::BTreeMap;
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Secret,
}

/// The user, the password or the certificates cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read {what} from `{path}`")]
    Read {
        /// What the file is for.
        what: &'static str,
        /// The file, or `-`.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A user without a password.
    #[error("user `{0}` has no password")]
    NoPassword(String),
    /// A password without a user.
    #[error("a password for the registry, and no user")]
    NoUser,
    /// A user's name with a colon, which basic authentication cannot carry.
    #[error("user `{0}` has a colon in the name")]
    ColonInUser(String),
    /// Docker's `config.json` is not what `docker login` writes. What is wrong is not shown: it
    /// may hold a password.
    #[error("`{path}` is not what `docker login` writes{detail}")]
    DockerConfig {
        /// The file.
        path: String,
        /// Which entry is wrong, if the rest is right.
        detail: String,
    },
}

impl CredentialsError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } | Self::ColonInUser(_) => return None,
            Self::NoPassword(_) => {
                "give it with --registry-password-file FILE, or in REGSQL_REGISTRY_PASSWORD"
            }
            Self::NoUser => "name the user with --registry-user",
            Self::DockerConfig { .. } => {
                "log in again, or give --registry-user, which needs no such file"
            }
        };
        Some(text.to_owned())
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Credentials {
    /// A user with a password. A name with a colon would reach the registry as another.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Secret::new(password.into()) }
    }

    /// What docker's `config.json` (at `path`, for errors) holds for `host` (`name` or `name:port`), if it holds any.
    /// Credential helpers are not called.
    ///
    /// # Errors
    /// When the file is not what `docker login` writes.
    pub fn from_docker_config(
        path: &str,
        json: &[u8],
        host: &str,
    ) -> Result<Option<Self>, CredentialsError> {
        let wrong = |detail| CredentialsError::DockerConfig { path: path.to_owned(), detail };
        let config: DockerConfig =
            serde_json::from_slice(json).map_err(|_| wrong(String::new()))?;
        let Some((key, entry)) = config.auths.into_iter().find(|(key, _)| host_of(key) == host)
        else {
            return Ok(None);
        };
        if let (Some(user), Some(password)) = (entry.username, entry.password) {
            return Ok(Some(Self::new(user, password)));
        }
        // An entry without `auth` says that a credential helper has it.
        let Some(auth) = entry.auth.filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|b| String::from_utf8(b).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => Ok(Some(Self::new(user, password))),
            None => {
                Err(wrong(format!(": the `auth` of `{key}` is not the base64 of user:password")))
            }
        }
    }

    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> Secret {
        let pair = format!("{}:{}", self.user, self.password.reveal());
        Secret::new(format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// A key of `auths` is a host, or an address with a scheme and a path.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(json: &str, host: &str) -> Option<Credentials> {
        Credentials::from_docker_config("config.json", json.as_bytes(), host).unwrap()
    }

    #[test]
    fn docker_keeps_credentials_by_host_or_by_address() {
        // base64 of `ann:pass:word`.
        let entry = r#"{"auth":"YW5uOnBhc3M6d29yZA=="}"#;
        for key in ["hub.example:5000", "https://hub.example:5000", "https://hub.example:5000/v1/"]
        {
            let json = format!(r#"{{"auths":{{"{key}":{entry}}},"credsStore":"x"}}"#);
            let expected = Credentials::new("ann", "pass:word");
            assert_eq!(from(&json, "hub.example:5000"), Some(expected), "{key}");
            assert_eq!(from(&json, "hub.example"), None, "{key}");
        }
    }

    #[test]
    fn what_a_credential_helper_keeps_is_not_read() {
        assert_eq!(from(r#"{"auths":{"a":{}},"credsStore":"desktop"}"#, "a"), None);
        assert_eq!(from("{}", "a"), None);
    }

    #[test]
    fn a_garbled_file_is_an_error_that_shows_nothing_of_it() {
        let error = |json: &str| {
            Credentials::from_docker_config("config.json", json.as_bytes(), "a")
                .unwrap_err()
                .to_string()
        };
        assert!(!error(r#"{"auths":{"a":"hunter2"#).contains("hunter2"));
        assert!(error(r#"{"auths":{"a":{"auth":"hunter2!"}}}"#).contains("the `auth` of `a`"));
        assert!(!error(r#"{"auths":{"a":{"auth":"hunter2!"}}}"#).contains("hunter2"));
    }

    #[test]
    fn debug_does_not_show_a_password() {
        let shown = format!("{:?}", Credentials::new("ann", "hunter2"));
        assert!(shown.contains("ann") && !shown.contains("hunter2"), "{shown}");
    }
}
