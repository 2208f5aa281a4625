//! Passwords, tokens and certificates against the real registry.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use regsql::registry::{
    Credentials, DeleteOutcome, Options, Registry as Client, RegistryError, ServingState,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use super::fake::{Fake, reply};
use super::{client, digest, options, with_tags};
use crate::real::layout::Image;
use crate::real::pushes;
use crate::real::registry::Registry;

/// The bcrypt hash of `s3cret:pass`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "ann:$2y$05$abcdefghijklmnopqrstuuKqhJSfTIYV1SkiVqP0GjQATd/vnrS1a\n";

fn ann() -> Credentials {
    Credentials::new("ann", "s3cret:pass")
}

fn client_as(registry: &Registry, credentials: Option<Credentials>) -> Client {
    let url = format!("http://{}", registry.address());
    Client::connect(&url, Options { credentials, ..options() }).unwrap()
}

#[test]
fn a_user_with_a_password_may_do_what_nobody_and_a_wrong_password_may_not() {
    let (mut registry, images) = with_tags(&["v1"]);
    let path = registry.beside().join("htpasswd");
    fs::write(&path, HTPASSWD).unwrap();
    registry.restart_with(|config| {
        format!("{config}auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display())
    });
    let error = client(&registry).tags("team/app").unwrap_err();
    assert!(error.to_string().contains("wants a user and a password"), "{error}");
    assert!(error.hint().unwrap().contains("--registry-user"));

    let wrong = Credentials::new("ann", "hunter2");
    let client = client_as(&registry, Some(wrong));
    for _ in 0..2 {
        let error = client.tags("team/app").unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert!(!format!("{client:?}").contains("hunter2"));

    let client = client_as(&registry, Some(ann()));
    assert_eq!(client.tags("team/app").unwrap(), ["v1"]);
    assert_eq!(client.probe("team/app").unwrap(), ServingState::Writable);
    let outcome = client.delete_manifest("team/app", &digest(&images[0])).unwrap();
    assert_eq!(outcome, DeleteOutcome::Deleted);
}

/// A CA, and a certificate and key for 127.0.0.1 in PEM.
struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

fn certificates() -> Certificates {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    Certificates { ca, certificate, key: key.serialize_pem() }
}

#[test]
fn a_registry_with_a_certificate_of_an_own_ca_is_trusted_with_that_ca_only() {
    let (mut registry, _) = with_tags(&["v1"]);
    let made = certificates();
    let (certificate, key) =
        (registry.beside().join("server.pem"), registry.beside().join("key.pem"));
    fs::write(&certificate, &made.certificate).unwrap();
    fs::write(&key, &made.key).unwrap();
    registry.restart_with(|config| {
        let (certificate, key) = (certificate.display(), key.display());
        let tls = format!("http:\n  tls:\n    certificate: {certificate}\n    key: {key}\n");
        config.replace("http:\n", &tls)
    });
    let url = format!("https://{}", registry.address());
    let connect = |url: &str, ca_pem: Option<String>| {
        let ca_pem = ca_pem.map(String::into_bytes);
        Client::connect(url, Options { ca_pem, ..options() })
    };
    let trusting = connect(&url, Some(made.ca.clone())).unwrap();
    assert_eq!(trusting.tags("team/app").unwrap(), ["v1"]);
    assert_eq!(trusting.probe("team/app").unwrap(), ServingState::Writable);

    for ca in [None, Some(certificates().ca)] {
        let error = connect(&url, ca).unwrap().probe("team/app").unwrap_err();
        assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("--registry-ca"));
    }
    // As the registry's documentation makes one, which says that it is a CA, and as TLS wants it.
    for constraint in ["critical,CA:TRUE", "critical,CA:FALSE"] {
        let made = Command::new("openssl")
            .args(["req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-x509", "-days", "365"])
            .args(["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", &format!("basicConstraints={constraint}")])
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        registry.restart_with(str::to_owned);
        let url = format!("https://{}", registry.address());
        let own = fs::read_to_string(&certificate).unwrap();
        assert_eq!(connect(&url, Some(own)).unwrap().tags("team/app").unwrap(), ["v1"]);
        let error = connect(&url, None).unwrap().tags("team/app").unwrap_err();
        assert!(error.hint().unwrap().contains("--registry-ca"), "{error:?}");
    }
    let url = format!("https://{}", registry.address());
    let plain = url.replace("https:", "http:");
    let error = connect(&plain, None).unwrap().tags("team/app").unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("a registry with TLS has an https:// address"));

    registry.stop();
    let (other, _) = with_tags(&["v1"]);
    let url = format!("https://{}", other.address());
    let error = connect(&url, None).unwrap().tags("team/app").unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
    for pem in ["", "-----BEGIN CERTIFICATE-----\nx\n", made.key.as_str()] {
        let error = connect(&url, Some(pem.to_owned())).unwrap_err();
        assert!(matches!(error, RegistryError::BadCa(_)), "{error:?}");
    }
}

/// Signs tokens as a registry's token server does (ES256, certificate in `x5c`).
struct Signer {
    key: EcdsaKeyPair,
    certificate_der: Vec<u8>,
    certificate_pem: String,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let pkcs8 = key.serialize_der();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random);
        Self {
            key: key.unwrap(),
            certificate_der: certificate.der().to_vec(),
            certificate_pem: certificate.pem(),
        }
    }

    /// A token for one repository that holds for so many seconds.
    fn token(&self, repository: &str, actions: &[&str], seconds: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let head = json!({
            "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate_der)],
        });
        let claims = json!({
            "iss": "test-issuer", "sub": "ann", "aud": "test-registry", "jti": "1",
            "iat": now - 10, "nbf": now - 10, "exp": now + seconds,
            "access": [{"type": "repository", "name": repository, "actions": actions}],
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A registry that wants tokens, and its token server, which gives `ann` what she asks for and
/// anybody else the right to pull.
fn with_tokens(signer: Signer, expires_in: u64) -> (Registry, Vec<Image>, Fake) {
    let (mut registry, images) = with_tags(&["v1", "v2"]);
    pushes::put(&registry, "team/other", "v1", &images[0]);
    let bundle = registry.beside().join("tokens.pem");
    fs::write(&bundle, &signer.certificate_pem).unwrap();
    let server = Fake::start(move |head, stream| {
        let path = head.split(' ').nth(1).unwrap();
        let scope = path.split("scope=").nth(1).unwrap().replace("%3A", ":").replace("%2F", "/");
        let scope = scope.replace("%2C", ",");
        let mut parts = scope.split(':').skip(1);
        let (repository, actions) = (parts.next().unwrap(), parts.next().unwrap());
        let login = format!("Authorization: Basic {}", STANDARD.encode("ann:s3cret:pass"));
        let is_ann = head.to_lowercase().contains(&login.to_lowercase());
        if head.to_lowercase().contains("authorization:") && !is_ann {
            return reply(stream, "401 Unauthorized", &[], "");
        }
        let granted: Vec<&str> =
            actions.split(',').filter(|action| is_ann || *action == "pull").collect();
        let token = signer.token(repository, &granted, 300);
        let body = json!({"token": token, "expires_in": expires_in}).to_string();
        reply(stream, "200 OK", &[], &body);
    });
    let realm = format!("{}/token", server.url());
    registry.restart_with(|config| {
        format!(
            "{config}auth:\n  token:\n    realm: {realm}\n    service: test-registry\n    \
             issuer: test-issuer\n    rootcertbundle: {}\n",
            bundle.display()
        )
    });
    (registry, images, server)
}

#[test]
fn a_token_is_fetched_once_for_each_repository_and_kind_of_access() {
    let (registry, images, server) = with_tokens(Signer::new(), 300);
    let client = client_as(&registry, Some(ann()));
    for _ in 0..2 {
        assert_eq!(client.tags("team/app").unwrap(), ["v1", "v2"]);
        assert_eq!(client.tag_states("team/app", &["v1"; 20]).unwrap().len(), 20);
    }
    assert_eq!(server.heads().len(), 1);
    assert!(server.heads()[0].starts_with(
        "GET /token?service=test-registry&scope=repository%3Ateam%2Fapp%3Apull HTTP/1.1"
    ));
    let deleted = client.delete_manifest("team/app", &digest(&images[0])).unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted);
    assert!(server.heads()[1].contains("scope=repository%3Ateam%2Fapp%3Adelete"));
    assert_eq!(client.tags("team/other").unwrap(), ["v1"]);
    assert_eq!(client.probe("team/app").unwrap(), ServingState::Writable);
    assert_eq!(server.heads().len(), 4);
    assert!(!format!("{client:?}").contains("eyJ"), "a token shows");
}

#[test]
fn nobody_may_pull_with_an_anonymous_token_and_not_delete() {
    let (registry, images, server) = with_tokens(Signer::new(), 300);
    let client = client_as(&registry, None);
    assert_eq!(client.tags("team/app").unwrap(), ["v1", "v2"]);
    assert!(!server.heads()[0].to_lowercase().contains("authorization"));
    let error = client.delete_manifest("team/app", &digest(&images[0])).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    let error = client.probe("team/app").unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    let wrong = client_as(&registry, Some(Credentials::new("ann", "wrong")));
    let error = wrong.tags("team/app").unwrap_err();
    assert!(error.to_string().contains("wrong user or password"), "{error}");
}

#[test]
fn a_token_that_ran_out_is_renewed() {
    let (registry, _, server) = with_tokens(Signer::new(), 1);
    let client = client_as(&registry, Some(ann()));
    assert_eq!(client.tags("team/app").unwrap(), ["v1", "v2"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(client.tags("team/app").unwrap(), ["v1", "v2"]);
    assert_eq!(server.heads().len(), 2);
}

/// A registry that takes each token once, whatever its server said of its life.
#[test]
fn a_token_that_is_refused_is_renewed_once_and_no_more() {
    let count = Arc::new(Mutex::new(0));
    let token_server = Fake::start(move |_, stream| {
        *count.lock().unwrap() += 1;
        let token = format!("t{}", count.lock().unwrap());
        reply(stream, "200 OK", &[], &json!({"access_token": token}).to_string());
    });
    let challenge = format!("Bearer realm=\"{}\",service=\"x\"", token_server.url());
    let used = Mutex::new(Vec::new());
    let registry = Fake::start(move |head, stream| {
        let bearer = head.lines().find(|line| line.to_lowercase().starts_with("authorization"));
        let mut used = used.lock().unwrap();
        match bearer {
            Some(line) if !used.contains(&line.to_owned()) && !head.contains("/locked/") => {
                used.push(line.to_owned());
                reply(stream, "200 OK", &[], r#"{"tags":["v1"]}"#);
            }
            _ => reply(stream, "401 No", &[("WWW-Authenticate", &challenge)], ""),
        }
    });
    let client = Client::connect(&registry.url(), options()).unwrap();
    assert_eq!(client.tags("a").unwrap(), ["v1"]);
    assert_eq!(client.tags("a").unwrap(), ["v1"]);
    assert_eq!(token_server.heads().len(), 2);
    let error = client.tags("x/locked/y").unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    assert_eq!(token_server.heads().len(), 3);
}
