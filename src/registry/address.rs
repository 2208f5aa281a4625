//! Where a registry is, and which addresses are its own.

use std::fmt;

use ureq::http::Uri;

use super::error::{RegistryError, shown};

/// Scheme, host, port and perhaps a path before `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    scheme: &'static str,
    host: String,
    port: u16,
    /// Empty, or `/` and more without a `/` at its end.
    prefix: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, RegistryError> {
        let bad = |reason| RegistryError::BadUrl { url: shown(without_user(text)), reason };
        let uri: Uri = text.parse().map_err(|_| bad("it is no URL"))?;
        let scheme =
            scheme_of(&uri).ok_or_else(|| bad("it must begin with http:// or https://"))?;
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(bad("user and password do not belong in it"));
        }
        if text.contains(['?', '#']) {
            return Err(bad("it must end with the host, a port or a path"));
        }
        let (host, port) = host_and_port(&uri, scheme).ok_or_else(|| bad("it has no host"))?;
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v2").unwrap_or(path).trim_end_matches('/').to_owned();
        if prefix.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(bad("its path climbs"));
        }
        Ok(Self { scheme, host, port, prefix })
    }

    /// The address of `path`, which begins with `/v2/`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// For look-ups: a literal IPv6 address without its brackets.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.host.trim_start_matches('[').trim_end_matches(']'), self.port)
    }

    /// As keys of docker's `config.json` are: the port only if it is not the scheme's own.
    pub(super) fn authority(&self) -> String {
        if self.port == default_port(self.scheme) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether a request to `url` reaches the very server that was named.
    pub(super) fn is_origin_of(&self, url: &Uri) -> bool {
        scheme_of(url) == Some(self.scheme)
            && host_and_port(url, self.scheme) == Some((self.host.clone(), self.port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.prefix)
    }
}

/// What follows `start` (such as `/v2/a/blobs/uploads/`) in an address that the server sent.
///
/// Behind a proxy a registry may know neither its own host nor its prefix, and a hostile one
/// could name any, so a caller takes only this part and puts it behind its own address.
pub(super) fn own_part<'a>(target: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = target.split_once(start)?;
    let is_printable = rest.bytes().all(|byte| byte.is_ascii_graphic());
    (is_printable && !rest.contains(['/', '#', '\\'])).then_some(rest)
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

fn scheme_of(uri: &Uri) -> Option<&'static str> {
    match uri.scheme_str()? {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    }
}

fn host_and_port(uri: &Uri, scheme: &str) -> Option<(String, u16)> {
    let authority = uri.authority()?;
    let host = authority.host().to_ascii_lowercase();
    let after_user = authority.as_str().rsplit('@').next()?;
    // The library takes `host:` and `host:99999` for a host without port, which is another server.
    let port = match after_user.get(authority.host().len()..)? {
        "" => default_port(scheme),
        rest => rest.strip_prefix(':')?.parse().ok()?,
    };
    (!host.is_empty()).then_some((host, port))
}

/// A wrong address as an error may show it: not what stands before an `@`.
pub(super) fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_a_prefix() {
        for (text, shown) in [
            ("http://localhost:5000", "http://localhost:5000"),
            ("https://Hub.example/", "https://hub.example"),
            ("https://hub.example:443/v2/", "https://hub.example"),
            ("https://hub.example/docker//", "https://hub.example/docker"),
            ("http://[::1]:5000/a/v2", "http://[::1]:5000/a"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Address::parse("http://[::1]:5000").unwrap().host_and_port(), ("::1", 5000));
    }

    #[test]
    fn what_is_no_address_of_a_registry_is_refused_without_its_password() {
        for text in [
            "",
            "localhost:5000",
            "/tmp",
            "ftp://a",
            "http://",
            "http://:5000",
            "http://a:99999",
            "http://a:",
            "http://a/?x=hunter2@",
            "http://a/#x",
            "http://a/../b",
            "http://ann:hunter2@a",
            "ann:hunter2@a:5000",
            "http://a b",
            "http://a\u{1b}[2J",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_same_server() {
        let address = Address::parse("https://hub.example").unwrap();
        let is_origin = |url: &str| address.is_origin_of(&url.parse().unwrap());
        assert!(is_origin("https://HUB.example:443/x"));
        for url in
            ["http://hub.example/", "https://hub.example:444/", "https://hub.example.evil/", "/x"]
        {
            assert!(!is_origin(url), "{url}");
        }
    }

    #[test]
    fn of_a_location_only_the_last_part_is_taken() {
        let part = |target| own_part(target, "/v2/r/blobs/uploads/");
        assert_eq!(part("http://b/v2/r/blobs/uploads/1-2?_state=q"), Some("1-2?_state=q"));
        assert_eq!(part("/v2/r/blobs/uploads/../../manifests/x"), None);
        assert_eq!(part("/v2/r/blobs/uploads/a b"), None);
        assert_eq!(part("/v2/other/blobs/uploads/1"), None);
    }
}
