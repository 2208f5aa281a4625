//! Single calls against the real registry.

use regsql::model::Digest;
use regsql::registry::{DeleteOutcome, TagState};

use super::{client, digest, with_tags};
use crate::real::layout::Image;
use crate::real::pushes;
use crate::real::registry::Registry;

#[test]
fn a_tag_stands_for_the_digest_that_was_pushed_whatever_its_kind() {
    let registry = Registry::start();
    let image = Image::of(&[b"layer"]);
    let images = [
        ("oci", image.clone()),
        ("schema2", pushes::schema2(&[b"layer"], Some("https://example.org/layer"))),
        ("index", Image::index(vec![image.clone()])),
        ("list", pushes::list(vec![pushes::schema2(&[b"layer"], None)])),
        ("cache", pushes::build_cache(&[b"layer"])),
        ("artifact", pushes::artifact("application/spdx+json", b"{}", Some(&image))),
    ];
    let client = client(&registry);
    for (tag, image) in &images {
        pushes::put(&registry, "team/app", tag, image);
        assert_eq!(client.manifest_digest("team/app", tag).unwrap(), Some(digest(image)), "{tag}");
        assert_eq!(client.manifest("team/app", tag).unwrap().unwrap(), image.manifest, "{tag}");
        let by_digest = client.manifest("team/app", &image.digest()).unwrap();
        assert_eq!(by_digest.unwrap(), image.manifest, "{tag}");
    }
    assert_eq!(
        client.tags("team/app").unwrap(),
        ["artifact", "cache", "index", "list", "oci", "schema2"]
    );
    let states = client.tag_states("team/app", &["oci", "none"]).unwrap();
    assert_eq!(states, [TagState::At(digest(&image)), TagState::Broken]);
}

#[test]
fn what_a_registry_does_not_have_is_no_error() {
    let (registry, _) = with_tags(&["v1"]);
    let client = client(&registry);
    let none = Digest::of(b"none");
    assert_eq!(client.tags("no/such").unwrap(), [""; 0]);
    assert_eq!(client.manifest_digest("team/app", "none").unwrap(), None);
    assert_eq!(client.manifest("team/app", &none.to_string()).unwrap(), None);
    assert!(!client.head_blob("team/app", &none).unwrap());
    assert_eq!(client.delete_manifest("team/app", &none).unwrap(), DeleteOutcome::NotFound);
    assert_eq!(client.delete_blob_link("team/app", &none).unwrap(), DeleteOutcome::NotFound);
    assert_eq!(client.delete_manifest("no/such", &none).unwrap(), DeleteOutcome::NotFound);
}

#[test]
fn deleting_a_manifest_takes_all_its_tags_and_deleting_a_link_hides_a_blob_in_one_repository() {
    let (registry, images) = with_tags(&["v1"]);
    for (repository, tag) in [("team/app", "same"), ("team/other", "v1")] {
        pushes::put(&registry, repository, tag, &images[0]);
    }
    let client = client(&registry);
    let deleted = client.delete_manifest("team/app", &digest(&images[0])).unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted);
    assert_eq!(client.tags("team/app").unwrap(), [""; 0]);
    let layer = Digest::of(b"v1");
    assert!(client.head_blob("team/app", &layer).unwrap());
    assert_eq!(client.delete_blob_link("team/app", &layer).unwrap(), DeleteOutcome::Deleted);
    assert!(!client.head_blob("team/app", &layer).unwrap());
    assert!(client.head_blob("team/other", &layer).unwrap());
    assert_eq!(client.tags("team/other").unwrap(), ["v1"]);
}

/// Why tags are deleted by their digest.
#[test]
fn this_registry_cannot_delete_one_tag() {
    let (registry, _) = with_tags(&["v1"]);
    let answer = registry.send("DELETE", "/v2/team/app/manifests/v1", &[], &[]);
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(client(&registry).tags("team/app").unwrap(), ["v1"]);
}

#[test]
fn a_registry_that_may_not_delete_says_so_and_how_to_change_it() {
    let (mut registry, images) = with_tags(&["v1"]);
    registry.restart_with(|config| config.replace("enabled: true", "enabled: false"));
    let outcome = client(&registry).delete_manifest("team/app", &digest(&images[0])).unwrap();
    assert_eq!(outcome, DeleteOutcome::DeletesDisabled);
    assert!(outcome.hint().unwrap().contains("REGISTRY_STORAGE_DELETE_ENABLED=true"));
    let outcome = client(&registry).delete_blob_link("team/app", &Digest::of(b"v1")).unwrap();
    assert_eq!(outcome, DeleteOutcome::DeletesDisabled);
}

#[test]
fn a_name_that_no_registry_can_have_is_not_asked_for() {
    let (registry, _) = with_tags(&["v1"]);
    let client = client(&registry);
    for name in ["Bad_Repo", "a/../b", "a?b", "lost+found", "a\n", "", "\u{1b}[2J", "a%2fb"] {
        let error = client.tags(name).unwrap_err();
        assert!(error.to_string().contains("repository"), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
        assert!(error.hint().is_some());
    }
    for tag in ["../v1", "a b", "", "v1?x=y", "sha256:abc"] {
        let error = client.manifest_digest("team/app", tag).unwrap_err();
        assert!(error.to_string().contains("tag"), "{error}");
    }
}

#[test]
fn an_address_behind_which_no_registry_is_gives_no_empty_list() {
    let (registry, _) = with_tags(&["v1"]);
    let url = format!("http://{}/wrong/prefix", registry.address());
    let client = regsql::registry::Registry::connect(&url, super::options()).unwrap();
    let error = client.tags("team/app").unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("is this the address of a registry's /v2/?"));
}
