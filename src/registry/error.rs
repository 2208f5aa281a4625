//! What can go wrong with a registry, in words that hold no credentials.

use std::io;
use std::time::Duration;

use super::credentials::CredentialsError;

/// A request that could not be made, or whose answer is none.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There are no credentials to use.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The address is none.
    #[error("`{url}` is not the address of a registry: {reason}")]
    BadUrl {
        /// What was given, without user and password.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No registry can have such a repository, tag or digest, so none is asked.
    #[error("no registry can have the {what} `{name}`")]
    BadName {
        /// `repository`, `tag` or `digest`.
        what: &'static str,
        /// The name, as far as it can be shown.
        name: String,
    },
    /// The certificates to trust are none.
    #[error("the CA certificates cannot be used: {0}")]
    BadCa(String),
    /// The host has no address.
    #[error("the host of {0} is not known")]
    UnknownHost(String),
    /// There is no connection, or it broke.
    #[error("cannot talk to {url}")]
    Connection {
        /// The address asked.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server's certificate is not trusted, or it does not speak TLS.
    #[error("no safe connection to {url}: {reason}")]
    Tls {
        /// The address asked.
        url: String,
        /// What the TLS library says.
        reason: String,
    },
    /// The answer took too long.
    #[error("{method} {url}: no whole answer within {timeout:?}")]
    Timeout {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// How long it waited.
        timeout: Duration,
    },
    /// The answer is too long to read.
    #[error("{method} {url}: the answer's {part} is longer than {limit_bytes} bytes")]
    TooLong {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// `head` or `body`.
        part: &'static str,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The server sends elsewhere, and the request does not go there.
    #[error("{method} {url}: sent on to {target}, which is not followed: {reason}")]
    Redirect {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// Where to, without its query: that may hold a signature.
        target: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// The registry or its token server wants to know who asks, or knows and says no.
    #[error("{method} {url}: not authorised: {reason}")]
    Unauthorized {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The token server gave no token.
    #[error("no token from {realm}: {reason}")]
    Token {
        /// The token server, without query.
        realm: String,
        /// Why.
        reason: String,
    },
    /// The registry answered with an error, or with a status that means nothing here.
    #[error("{method} {url}: the registry answered {status}{detail}")]
    Status {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// The status.
        status: u16,
        /// `: CODE: message` of the answer, or nothing.
        detail: String,
    },
    /// The answer is not what the API says it is.
    #[error("{method} {url}: the answer is not understood: {reason}")]
    BadAnswer {
        /// The request's method.
        method: String,
        /// The address asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The probe began an upload and could not take it back.
    #[error("the probe began an upload at {url} that is still there")]
    UploadLeft {
        /// The upload's address, without query.
        url: String,
        /// Why it could not be taken back.
        #[source]
        source: Option<Box<RegistryError>>,
    },
}

impl RegistryError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Credentials(error) => return error.hint(),
            Self::BadUrl { .. } => {
                "give it as http://HOST:PORT or https://HOST:PORT; --registry-user names a user"
            }
            Self::BadName { .. } => "only the storage itself can be cleaned of it",
            Self::BadCa(_) => "--registry-ca takes a file of certificates in PEM",
            Self::UnknownHost(_) | Self::Connection { .. } => {
                "is it the right address, and does the registry run?"
            }
            Self::Tls { .. } => {
                "--registry-ca FILE trusts a CA of your own or a server's very certificate; a registry without TLS has http://"
            }
            Self::Timeout { .. } => "--registry-timeout 5m waits longer",
            Self::Redirect { .. } => "give the address that it sends to, if you trust it",
            Self::Unauthorized { .. } => {
                "--registry-user and --registry-password-file say who asks; it needs the right to \
                 pull, push and delete"
            }
            Self::Status { status: 400, url, .. } if url.starts_with("http:") => {
                "a registry with TLS has an https:// address"
            }
            Self::Status { status: 404, .. } => "is this the address of a registry's /v2/?",
            Self::Status { .. } => "the registry's log says more",
            Self::UploadLeft { .. } => "the registry purges old uploads by itself after a week",
            Self::Token { .. } | Self::TooLong { .. } | Self::BadAnswer { .. } => return None,
        };
        Some(text.to_owned())
    }

    /// Whether asking for something else could go no better: nothing answers, or not as a registry.
    pub(super) fn is_about_whole_registry(&self) -> bool {
        // Rights are given by repository.
        !matches!(
            self,
            Self::BadName { .. }
                | Self::Status { .. }
                | Self::TooLong { .. }
                | Self::BadAnswer { .. }
                | Self::Unauthorized { .. }
                | Self::Token { .. }
        )
    }
}

/// The longest text of a server that an error repeats, in characters.
const MAX_SHOWN: usize = 300;

/// A text of a server, cut, and with everything that a terminal acts on written out.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(visible).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(char: char) -> impl Iterator<Item = char> {
    // Quotes and backslashes are harmless, and common in messages.
    let plain = matches!(char, '"' | '\'' | '\\').then_some(char);
    plain.into_iter().chain(char.escape_debug().filter(move |_| plain.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_is_cut_and_cannot_reach_a_terminal() {
        assert_eq!(shown("it's \"x\"\u{1b}[2J\n\u{202e}ü"), "it's \"x\"\\u{1b}[2J\\n\\u{202e}ü");
        assert_eq!(shown(&"ü".repeat(5000)).chars().count(), MAX_SHOWN + 1);
    }
}
