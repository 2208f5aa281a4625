//! Whom a request may call this server. A web page of somebody else's can make a browser ask a server
//! on loopback under the page's own name (DNS rebinding), and then read the answer.

use std::net::IpAddr;

/// The names that are answered to.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// `None`: any.
    allowed: Option<Vec<String>>,
}

impl Hosts {
    /// On loopback only its own names and the `allowed`; elsewhere any, unless some are `allowed`.
    pub fn new(listen: IpAddr, allowed: &[String]) -> Self {
        let is_any = !listen.to_canonical().is_loopback() && allowed.is_empty();
        let allowed = allowed.iter().map(|name| plain(name)).collect();
        Self { allowed: (!is_any).then_some(allowed) }
    }

    /// Whether a request for `host`, as its `Host` header or its address says, is answered.
    pub fn allow(&self, host: &str) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        let name = plain(host);
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
            || allowed.contains(&name)
    }
}

/// Without port, brackets and a dot at the end, in lower case.
fn plain(host: &str) -> String {
    let host = host.trim();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        // More than one colon: an address without brackets.
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or(host),
        None => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn on_loopback_only_its_own_names_and_the_allowed_are_answered() {
        let hosts = Hosts::new(Ipv4Addr::LOCALHOST.into(), &["metrics.example.com".into()]);
        for host in [
            "localhost",
            "LOCALHOST:9055",
            "127.0.0.1:9055",
            "127.8.8.8",
            "[::1]:9055",
            "::1",
            "a.localhost",
            "localhost.",
            "Metrics.Example.com:443",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "evil.example.com",
            "localhost.evil.example.com",
            "10.0.0.1",
            "",
            "127.0.0.1.evil.example.com",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    #[test]
    fn an_address_of_version_4_within_one_of_version_6_is_the_same() {
        let listen: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let hosts = Hosts::new(listen, &[]);
        assert!(hosts.allow("127.0.0.1:9055") && hosts.allow("[::ffff:127.0.0.1]:9055"));
        assert!(!hosts.allow("evil.example.com"));
    }

    #[test]
    fn elsewhere_any_name_is_answered_unless_some_are_listed() {
        assert!(Hosts::new(Ipv4Addr::UNSPECIFIED.into(), &[]).allow("registry.example.com"));
        let listed = Hosts::new(Ipv6Addr::UNSPECIFIED.into(), &["registry.example.com".into()]);
        assert!(listed.allow("registry.example.com") && !listed.allow("evil.example.com"));
    }
}
