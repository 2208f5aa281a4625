//! What a 401 asks for: the `WWW-Authenticate` header (RFC 9110, 11.6.1).

use http_auth::{ChallengeParser, ChallengeRef};

/// A way to authenticate that regsql knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The token server's address.
        realm: String,
        /// The name by which it knows the registry.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// The challenge to answer among those in the headers: a token where one is offered.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let challenges: Vec<_> = headers.flat_map(parse).collect();
    let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(challenges.first()).cloned()
}

/// The challenges that are known in one header, up to where it makes no sense.
fn parse(header: &str) -> Vec<Challenge> {
    let challenges = ChallengeParser::new(header).map_while(Result::ok);
    challenges.filter_map(|challenge| known(&challenge)).collect()
}

fn known(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let value = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
    };
    match challenge.scheme.to_ascii_lowercase().as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: value("realm")?,
            service: value("service"),
            scope: value("scope"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn a_token_challenge_has_a_realm_a_service_and_a_scope() {
        let header = r#"Bearer realm="https://auth.example/token?a=b,c",service="hub \"x\"",scope="repository:a/b:pull,push""#;
        let scope = Some("repository:a/b:pull,push");
        let expected = bearer("https://auth.example/token?a=b,c", Some("hub \"x\""), scope);
        assert_eq!(parse(header), [expected]);
    }

    #[test]
    fn a_token_is_chosen_before_a_password() {
        let expected = Some(bearer("https://a/t", None, None));
        let one = r#"Basic realm="r", bearer realm = "https://a/t""#;
        assert_eq!(choose([one].into_iter()), expected);
        let two = ["Basic realm=r", r#"Negotiate, Bearer realm="https://a/t""#];
        assert_eq!(choose(two.into_iter()), expected);
        assert_eq!(choose(["Basic"].into_iter()), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for header in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm=\"\"",
            "=x",
            "\"",
            "Bearer realm=\"https://open",
            "\u{1b}[2J",
            "a",
        ] {
            assert_eq!(choose([header].into_iter()), None, "{header}");
        }
    }
}
