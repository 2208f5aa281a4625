//! What a registry answers says who holds its references, beside what its storage says.

use super::{run, stdout};
use crate::real::layout::{Image, layer};
use crate::real::pushes;
use crate::real::registry::Registry;
use crate::registry_api::fake::{Fake, reply};

const PRUNE: [&str; 5] =
    ["prune", "untagged-revisions", "--garbage", "--min-age=0s", "--max-delete-percent=100"];

/// An ordinary registry with an untagged revision.
fn registry() -> Registry {
    let registry = Registry::start();
    for name in ["old", "new"] {
        pushes::put(&registry, "team/app", "latest", &Image::of(&[&layer(name, 2_000)]));
    }
    let root = registry.root().display().to_string();
    stdout(&registry, &["scan", &root]);
    registry
}

/// A server before the same storage that answers otherwise.
fn front(
    headers: &'static [(&'static str, &'static str)],
    status: &'static str,
    tags: &'static str,
) -> Fake {
    Fake::start(move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/tags/list") {
            reply(stream, "200 OK", &[], tags);
        } else {
            reply(stream, status, headers, "{}");
        }
    })
}

const OWN_TAGS: &str = r#"{"name":"team/app","tags":["latest"]}"#;

#[test]
fn a_registry_that_answers_for_its_own_storage_is_pruned() {
    let registry = registry();
    let url = format!("--registry-url=http://{}", registry.address());
    let (code, said) = run(&registry, &[&PRUNE[..], &[&url]].concat());
    assert!(code == 0 && said.contains("Would delete"), "{said}");
    // A tag that came after the scan is in the storage.
    pushes::put(&registry, "team/app", "newer", &Image::of(&[&layer("newer", 500)]));
    let (code, said) = run(&registry, &[&PRUNE[..], &[&url]].concat());
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_registry_that_lists_a_tag_that_the_storage_has_not_is_not_judged_by_its_storage() {
    let registry = registry();
    let fake = front(&[], "200 OK", r#"{"name":"team/app","tags":["latest","stable"]}"#);
    let url = format!("--registry-url={}", fake.url());
    let (code, said) = run(&registry, &[&PRUNE[..], &[&url]].concat());
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("the registry lists 1 of 2 tags that the storage has not (team/app:stable)"),
        "{said}"
    );
    let tags =
        ["prune", "--target", "team/app:latest", "--min-age=0s", "--max-delete-percent=100", &url];
    assert_eq!(run(&registry, &tags).0, 2);
    // Blobs that nothing links are garbage wherever the tags are held; and a person may know better.
    let garbage = ["prune", "--garbage", "--min-age=0s", "--max-delete-percent=100", &url];
    assert_eq!(run(&registry, &garbage).0, 0);
    let (code, said) = run(&registry, &[&PRUNE[..], &[&url, "--trust-storage"]].concat());
    assert!(code == 0 && said.contains("Would delete"), "{said}");
}

#[test]
fn products_are_known_by_their_answers() {
    let registry = registry();
    let gitlab =
        front(&[("Gitlab-Container-Registry-Database-Enabled", "true")], "200 OK", OWN_TAGS);
    let openshift = front(
        &[("WWW-Authenticate", r#"Bearer realm="https://registry.example.com/openshift/token""#)],
        "401 Unauthorized",
        OWN_TAGS,
    );
    let signatures = front(&[("X-Registry-Supports-Signatures", "1")], "200 OK", OWN_TAGS);
    let harbor = front(
        &[(
            "WWW-Authenticate",
            r#"Bearer realm="https://harbor.example.com/service/token",service="harbor-registry""#,
        )],
        "401 Unauthorized",
        OWN_TAGS,
    );
    for (fake, title) in [
        (&gitlab, "GitLab's metadata database"),
        (&openshift, "OpenShift's etcd"),
        (&signatures, "OpenShift's etcd"),
        (&harbor, "Harbor's database"),
    ] {
        let url = format!("--registry-url={}", fake.url());
        let (code, said) = run(&registry, &[&PRUNE[..], &[&url]].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("{title} seems to hold references")), "{said}");
    }
    // GitLab's registry without its database keeps everything in the storage.
    let plain =
        front(&[("Gitlab-Container-Registry-Database-Enabled", "false")], "200 OK", OWN_TAGS);
    let url = format!("--registry-url={}", plain.url());
    assert_eq!(run(&registry, &[&PRUNE[..], &[&url]].concat()).0, 0);
}
