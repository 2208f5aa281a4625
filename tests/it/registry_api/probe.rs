//! Whether the registry writes: what may be taken for safe and what not.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use regsql::registry::{Registry as Client, RegistryError, ServingState};
use walkdir::WalkDir;

use super::fake::{Fake, reply};
use super::{client, options, with_tags};
use crate::real::registry::Registry;

fn read_only(config: &str) -> String {
    config.replace("storage:\n", "storage:\n  maintenance:\n    readonly:\n      enabled: true\n")
}

/// Every path below, and what each file holds.
fn tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let content = |path: &Path| if path.is_dir() { Vec::new() } else { fs::read(path).unwrap() };
    let all = WalkDir::new(directory).into_iter().map(|entry| entry.unwrap().into_path());
    all.map(|path| (path.display().to_string(), content(&path))).collect()
}

#[test]
fn a_registry_that_takes_pushes_is_writable_and_keeps_nothing_of_the_probe() {
    let (registry, _) = with_tags(&["v1"]);
    let before = tree(&registry.root());
    assert_eq!(client(&registry).probe("team/app").unwrap(), ServingState::Writable);
    let after = tree(&registry.root());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before, "a file has another content");
}

#[test]
fn a_read_only_registry_is_known_by_its_405() {
    let (mut registry, images) = with_tags(&["v1"]);
    registry.restart_with(read_only);
    let before = tree(&registry.root());
    let client = client(&registry);
    assert_eq!(client.probe("team/app").unwrap(), ServingState::ReadOnly);
    assert!(tree(&registry.root()) == before);
    let outcome = client.delete_manifest("team/app", &super::digest(&images[0])).unwrap();
    assert_eq!(outcome, regsql::registry::DeleteOutcome::ReadOnly);
}

#[test]
fn a_registry_that_was_stopped_refuses_connections() {
    let (mut registry, _) = with_tags(&["v1"]);
    let client = client(&registry);
    registry.stop();
    assert_eq!(client.probe("team/app").unwrap(), ServingState::Stopped);
}

#[test]
fn a_pull_through_cache_takes_no_pushes_and_is_not_read_only_for_it_writes_what_is_pulled() {
    let (origin, _) = with_tags(&["v1"]);
    let remote = format!("http://{}", origin.address());
    let cache = Registry::start_with(|config| format!("{config}proxy:\n  remoteurl: {remote}\n"));
    let answer = cache.send("POST", "/v2/team/app/blobs/uploads/", &[], &[]);
    assert_eq!(answer.status, 405);
    assert_eq!(client(&cache).probe("team/app").unwrap(), ServingState::Writable);
}

#[test]
fn a_405_of_something_else_than_a_registry_is_not_read_only() {
    for headers in [
        &[("Allow", "GET, HEAD")] as &'static [_],
        &[("Docker-Distribution-Api-Version", "registry/2.0")],
        &[("Docker-Distribution-Api-Version", "registry/2.0"), ("Allow", "GET, HEAD, POST")],
    ] {
        let fake = Fake::start(|_, stream| reply(stream, "405 No", headers, ""));
        let client = Client::connect(&fake.url(), options()).unwrap();
        let error = client.probe("team/app").unwrap_err();
        assert!(matches!(error, RegistryError::Status { status: 405, .. }), "{error}");
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_not_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeout = std::time::Duration::from_millis(200);
    let client = Client::connect(&url, regsql::registry::Options { timeout, ..options() }).unwrap();
    let error = client.probe("team/app").unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
    assert_eq!(error.hint().as_deref(), Some("--registry-timeout 5m waits longer"));
}

#[test]
fn a_host_that_nobody_knows_is_not_stopped() {
    let client = Client::connect("http://registry.invalid:5000", options()).unwrap();
    let error = client.probe("team/app").unwrap_err();
    assert!(matches!(error, RegistryError::UnknownHost(_)), "{error}");
}

#[test]
fn an_upload_that_cannot_be_taken_back_is_told() {
    let fake = Fake::start(|head, stream| {
        if head.starts_with("POST") {
            let location = ("Location", "/v2/team/app/blobs/uploads/1234?_state=x");
            reply(stream, "202 Accepted", &[location], "");
        } else {
            reply(stream, "500 No", &[], "");
        }
    });
    let error = Client::connect(&fake.url(), options()).unwrap().probe("team/app").unwrap_err();
    assert!(error.to_string().contains("/v2/team/app/blobs/uploads/1234"), "{error}");
    assert!(!error.to_string().contains("_state"), "{error}");
}

#[test]
fn a_location_elsewhere_makes_no_request_elsewhere() {
    let other = Fake::start(|_, stream| reply(stream, "202 Accepted", &[], ""));
    let location = format!("{}/v2/team/app/blobs/uploads/../../manifests/v1", other.url());
    let fake = Fake::start(move |_, stream| {
        reply(stream, "202 Accepted", &[("Location", &location)], "");
    });
    let error = Client::connect(&fake.url(), options()).unwrap().probe("team/app").unwrap_err();
    assert!(matches!(error, RegistryError::UploadLeft { .. }), "{error}");
    let methods: Vec<String> =
        fake.heads().iter().map(|head| head.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["PATCH", "POST"]);
    assert_eq!(other.heads().len(), 0);
}
