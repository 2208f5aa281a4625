//! What a caller may set.

use std::time::Duration;

use super::credentials::Credentials;

/// How to talk to a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who to be. `None` is anonymous: a token server may still give a token.
    pub credentials: Option<Credentials>,
    /// Certificates in PEM that are trusted beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// The longest that one request may take, from the name's look-up to the answer's last byte.
    pub timeout: Duration,
    /// How often a request is sent again after a 429, a 503 or a broken connection.
    pub retries: u32,
    /// The pause before the first of them; it doubles each time. A `Retry-After` is kept to up to
    /// [`Options::MAX_PAUSE`].
    pub retry_pause: Duration,
}

impl Options {
    /// The longest pause between two tries.
    pub const MAX_PAUSE: Duration = Duration::from_secs(10);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: None,
            ca_pem: None,
            timeout: Duration::from_secs(30),
            retries: 3,
            retry_pause: Duration::from_millis(250),
        }
    }
}
