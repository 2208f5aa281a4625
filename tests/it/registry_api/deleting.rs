//! Deleting through the API alone: what goes, what stays and why.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use regsql::model::Digest;
use regsql::registry::Registry as Client;
use regsql::registry::delete::{Item, Outcome, Report, Selection, Stop, delete};

use super::fake::{Fake, reply};
use super::{client, digest, options, with_tags};
use crate::real::layout::Image;
use crate::real::pushes;
use crate::real::registry::Registry;

fn tag(name: &str, image: &Image) -> Item {
    Item { repository: "team/app".to_owned(), tag: Some(name.to_owned()), digest: digest(image) }
}

fn revision(image: &Image) -> Item {
    Item { repository: "team/app".to_owned(), tag: None, digest: digest(image) }
}

/// These items, while these tags stay.
fn selection(items: Vec<Item>, staying: &[(&str, &Image)]) -> Selection {
    let tags: BTreeMap<String, Digest> =
        staying.iter().map(|(name, image)| ((*name).to_owned(), digest(image))).collect();
    let staying_tags = BTreeMap::from([("team/app".to_owned(), tags)]);
    Selection { items, staying_tags, is_in_s3: false }
}

fn run(registry: &Registry, selection: &Selection) -> Report {
    delete(&client(registry), selection, |_, _| ControlFlow::Continue(()))
}

/// One line an item, as a person would read it.
fn lines(selection: &Selection, report: &Report) -> Vec<String> {
    let told = |outcome: &Outcome| match outcome {
        Outcome::Deleted => "deleted".to_owned(),
        Outcome::NotFound => "not found".to_owned(),
        Outcome::NotTried => "not tried".to_owned(),
        Outcome::Skipped(reason) => format!("stays: {reason}"),
        Outcome::Failed(error) => format!("failed: {error}"),
    };
    let outcomes = selection.items.iter().zip(&report.outcomes);
    outcomes.map(|(item, outcome)| format!("{item} {}", told(outcome))).collect()
}

fn serves(registry: &Registry, reference: &str) -> bool {
    registry.ask("GET", &format!("/v2/team/app/manifests/{reference}")).status == 200
}

#[test]
fn tags_and_revisions_go_and_what_was_gone_is_said() {
    let (registry, images) = with_tags(&["v1", "v2", "v3"]);
    let untagged = Image::of(&[b"untagged"]);
    pushes::put(&registry, "team/app", &untagged.digest(), &untagged);
    registry.delete_manifest("team/app", &images[1].digest());
    let items = vec![
        tag("v1", &images[0]),
        revision(&images[0]),
        tag("v2", &images[1]),
        revision(&untagged),
    ];
    let selection = selection(items, &[("v3", &images[2])]);
    let report = run(&registry, &selection);
    assert!(report.stopped.is_none(), "{:?}", report.stopped);
    assert_eq!(
        lines(&selection, &report),
        [
            "team/app:v1 deleted".to_owned(),
            format!("team/app@{} deleted", images[0].digest()),
            "team/app:v2 not found".to_owned(),
            format!("team/app@{} deleted", untagged.digest()),
        ]
    );
    assert_eq!(client(&registry).tags("team/app").unwrap(), ["v3"]);
    assert!(serves(&registry, "v3") && !serves(&registry, &untagged.digest()));
}

#[test]
fn a_tag_whose_manifest_has_another_tag_stays_and_that_tag_is_named() {
    let (registry, images) = with_tags(&["v1"]);
    for same in ["latest", "stable"] {
        pushes::put(&registry, "team/app", same, &images[0]);
    }
    let kept = selection(
        vec![tag("v1", &images[0]), revision(&images[0])],
        &[("latest", &images[0]), ("stable", &images[0])],
    );
    let told = lines(&kept, &run(&registry, &kept));
    let reason =
        "stays: the same manifest is also tagged `latest`, `stable`, which would go with it";
    assert_eq!(told[0], format!("team/app:v1 {reason}"));
    assert!(told[1].ends_with(reason), "{told:?}");
    assert_eq!(client(&registry).tags("team/app").unwrap(), ["latest", "stable", "v1"]);

    let all =
        selection(["v1", "latest", "stable", "v1"].map(|name| tag(name, &images[0])).to_vec(), &[]);
    let told = lines(&all, &run(&registry, &all));
    assert!(told.iter().all(|line| line.ends_with("deleted")), "{told:?}");
    assert_eq!(client(&registry).tags("team/app").unwrap(), [""; 0]);
}

#[test]
fn a_tag_pushed_since_the_scan_saves_its_manifest_and_one_pushed_again_itself() {
    let (registry, images) = with_tags(&["v1", "v2", "v3"]);
    // The scan saw v1, v2 and v3. Then v1 got a second name and v2 new content.
    pushes::put(&registry, "team/app", "new", &images[0]);
    let newer = Image::of(&[b"newer"]);
    pushes::put(&registry, "team/app", "v2", &newer);
    let items = vec![
        tag("v1", &images[0]),
        tag("v2", &images[1]),
        revision(&images[1]),
        tag("v3", &images[2]),
    ];
    let selection = selection(items, &[]);
    let told = lines(&selection, &run(&registry, &selection));
    assert_eq!(
        told,
        [
            "team/app:v1 stays: the same manifest is also tagged `new`, which would go with it"
                .to_owned(),
            format!("team/app:v2 stays: the tag stands for {} now", newer.digest()),
            format!("team/app@{} deleted", images[1].digest()),
            "team/app:v3 deleted".to_owned(),
        ]
    );
    assert_eq!(client(&registry).tags("team/app").unwrap(), ["new", "v1", "v2"]);
    assert!(serves(&registry, "v2") && serves(&registry, "v1"));
}

#[test]
fn an_index_goes_before_its_platforms_and_signatures_after_what_they_sign() {
    let registry = Registry::start();
    let platforms: Vec<Image> = ["amd64", "arm64"]
        .iter()
        .map(|name| Image::for_platform(("linux", name), &[name.as_bytes()]))
        .collect();
    let index = Image::index(platforms.clone());
    pushes::put(&registry, "team/app", "v1", &index);
    let signature = pushes::artifact("application/spdx+json", b"about it", Some(&index));
    pushes::put(&registry, "team/app", &signature.digest(), &signature);
    let items = vec![
        revision(&platforms[0]),
        revision(&signature),
        revision(&platforms[1]),
        revision(&index),
        tag("v1", &index),
    ];
    let everything = selection(items, &[]);
    let mut order = Vec::new();
    let report = delete(&client(&registry), &everything, |index, _| {
        order.push(index);
        ControlFlow::Continue(())
    });
    let told = lines(&everything, &report);
    assert!(told.iter().all(|line| line.ends_with("deleted")), "{told:?}");
    order[..2].sort_unstable();
    assert_eq!(order[..2], [3, 4], "the index and its tag were first");
}

#[test]
fn when_an_index_stays_so_do_its_platforms_and_its_signature() {
    let registry = Registry::start();
    let platform = Image::of(&[b"layer"]);
    let index = Image::index(vec![platform.clone()]);
    for name in ["v1", "latest"] {
        pushes::put(&registry, "team/app", name, &index);
    }
    let signature = pushes::artifact("application/spdx+json", b"about it", Some(&index));
    pushes::put(&registry, "team/app", &signature.digest(), &signature);
    let items = vec![tag("v1", &index), revision(&platform), revision(&signature)];
    let selection = selection(items, &[]);
    let told = lines(&selection, &run(&registry, &selection));
    assert!(told[0].contains("`latest`"), "{told:?}");
    for line in &told[1..] {
        let reason = format!("stays: it belongs to {}, which stays", index.digest());
        assert!(line.ends_with(&reason), "{told:?}");
    }
    for image in [&index, &platform, &signature] {
        assert!(serves(&registry, &image.digest()));
    }
}

#[test]
fn what_an_index_pushed_since_the_scan_holds_stays() {
    let (registry, images) = with_tags(&["v1"]);
    let index = Image::index(vec![Image::index(vec![images[0].clone()])]);
    pushes::put(&registry, "team/app", "multi", &index);
    let selection = selection(vec![tag("v1", &images[0]), revision(&images[0])], &[]);
    let told = lines(&selection, &run(&registry, &selection));
    let reason = "stays: tag `multi`, which is newer than the scan, needs it";
    assert!(told.iter().all(|line| line.ends_with(reason)), "{told:?}");
    assert!(serves(&registry, &images[0].digest()));
}

#[test]
fn while_one_tag_cannot_be_read_nothing_of_its_repository_goes() {
    let (registry, images) = with_tags(&["v1", "torn"]);
    let link = "docker/registry/v2/repositories/team/app/_manifests/tags/torn/current/link";
    std::fs::write(registry.root().join(link), "").unwrap();
    let selection = selection(vec![tag("v1", &images[0])], &[]);
    let told = lines(&selection, &run(&registry, &selection));
    assert!(told[0].contains("tag `torn` may stand for the same manifest"), "{told:?}");
    assert!(serves(&registry, "v1"));
}

#[test]
fn a_tag_without_its_manifest_is_told_and_keeps_others_of_its_digest() {
    let (registry, images) = with_tags(&["v1", "v2"]);
    let hex = images[0].digest().replace("sha256:", "");
    let link = "docker/registry/v2/repositories/team/app/_manifests/revisions/sha256";
    std::fs::remove_dir_all(registry.root().join(link).join(&hex)).unwrap();
    let dangling = selection(vec![tag("v1", &images[0])], &[("v2", &images[1])]);
    let told = lines(&dangling, &run(&registry, &dangling));
    assert!(told[0].contains("has no such manifest to delete"), "{told:?}");
    // The registry cannot say what `v1` stands for; the scan could.
    let kept = selection(vec![revision(&images[0])], &[("v1", &images[0])]);
    let told = lines(&kept, &run(&registry, &kept));
    assert!(told[0].contains("also tagged `v1`"), "{told:?}");
}

#[test]
fn names_that_no_registry_can_have_do_not_stop_the_others() {
    let (registry, images) = with_tags(&["v1"]);
    let mut foreign = revision(&images[0]);
    foreign.repository = "lost+found".to_owned();
    let selection = selection(vec![foreign, tag("v1", &images[0])], &[]);
    let report = run(&registry, &selection);
    let told = lines(&selection, &report);
    assert!(told[0].contains("no registry can have the repository `lost+found`"), "{told:?}");
    assert_eq!(told[1], "team/app:v1 deleted");
}

#[test]
fn a_registry_without_deletes_ends_the_run_with_the_way_to_enable_them() {
    let (mut registry, images) = with_tags(&["v1", "v2"]);
    registry.restart_with(|config| config.replace("enabled: true", "enabled: false"));
    let selection = selection(vec![tag("v1", &images[0]), tag("v2", &images[1])], &[]);
    let report = run(&registry, &selection);
    let told = lines(&selection, &report);
    assert!(told.iter().all(|line| line.ends_with("not tried")), "{told:?}");
    let stop = report.stopped.unwrap();
    assert!(matches!(stop, Stop::Refused { .. }), "{stop}");
    assert!(stop.to_string().contains("not enabled in its configuration"), "{stop}");
    assert!(stop.hint().unwrap().contains("storage.delete.enabled: true"));
}

#[test]
fn who_wants_no_more_gets_what_was_done_so_far() {
    let (registry, images) = with_tags(&["v1", "v2"]);
    pushes::put(&registry, "team/app", "same", &images[0]);
    let items = vec![tag("v1", &images[0]), tag("same", &images[0]), tag("v2", &images[1])];
    let selection = selection(items, &[]);
    let report = delete(&client(&registry), &selection, |_, _| ControlFlow::Break(()));
    assert!(matches!(report.stopped, Some(Stop::Asked)));
    let deleted = report.outcomes.iter().filter(|o| matches!(o, Outcome::Deleted)).count();
    let left = client(&registry).tags("team/app").unwrap().len();
    assert_eq!(deleted + left, 3, "{:?}", report.outcomes);
    assert!(left > 0);
}

#[test]
fn a_registry_that_goes_away_ends_the_run() {
    let (mut registry, images) = with_tags(&["v1"]);
    let client = client(&registry);
    registry.stop();
    let selection = selection(vec![tag("v1", &images[0])], &[]);
    let report = delete(&client, &selection, |_, _| ControlFlow::Continue(()));
    assert!(matches!(report.stopped, Some(Stop::Failed(_))), "{report:?}");
}

/// Between two deletes of one run somebody tags the second digest.
#[test]
fn tags_are_read_again_before_each_delete() {
    let mut digests = [Digest::of(b"a"), Digest::of(b"b")];
    digests.sort();
    let second = digests[1].to_string();
    let deletes = AtomicUsize::new(0);
    let fake = Fake::start(move |head, stream| {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let is_later = deletes.load(Ordering::SeqCst) > 0;
        if method == "DELETE" {
            deletes.fetch_add(1, Ordering::SeqCst);
            return reply(stream, "202 Accepted", &[], "");
        }
        match path {
            "/v2/team/app/tags/list" if is_later => {
                reply(stream, "200 OK", &[], r#"{"tags":["new","old"]}"#);
            }
            "/v2/team/app/tags/list" => reply(stream, "200 OK", &[], r#"{"tags":["old"]}"#),
            "/v2/team/app/manifests/new" => {
                reply(stream, "200 OK", &[("Docker-Content-Digest", &second)], "");
            }
            _ => reply(stream, "404 No", &[], ""),
        }
    });
    let items: Vec<Item> = digests
        .iter()
        .map(|digest| Item { repository: "team/app".into(), tag: None, digest: digest.clone() })
        .collect();
    let client = Client::connect(&fake.url(), options()).unwrap();
    let selection = Selection { items, ..Selection::default() };
    let report = delete(&client, &selection, |_, _| ControlFlow::Continue(()));
    let told = lines(&selection, &report);
    assert!(told[0].ends_with("deleted"), "{told:?}");
    assert!(told[1].contains("also tagged `new`"), "{told:?}");
}

/// Between two deletes of one run a tag that stays moves onto an index that calls the second image a
/// layer.
#[test]
fn a_tag_that_moves_onto_an_index_saves_what_it_holds_whatever_that_is_called() {
    let child = Image::of(&[b"child"]);
    let mut index = Image::index(vec![child.clone()]);
    let text = String::from_utf8(index.manifest).unwrap();
    let called = "application/vnd.oci.image.layer.v1.tar+gzip";
    index.manifest = text.replace(child.media_type, called).into_bytes();
    assert!(String::from_utf8_lossy(&index.manifest).contains(called));
    let other = (0..1_000)
        .map(|number: u32| Digest::of(&number.to_be_bytes()))
        .find(|other| *other < digest(&child))
        .unwrap();
    let before = Image::of(&[b"before"]);
    let digests = [&before, &index].map(Image::digest);
    let deletes = AtomicUsize::new(0);
    let (child_path, index_path) = (
        format!("/v2/team/app/manifests/{}", child.digest()),
        format!("/v2/team/app/manifests/{}", index.digest()),
    );
    let (child_body, index_body) =
        [&child, &index].map(|image| String::from_utf8(image.manifest.clone()).unwrap()).into();
    let fake = Fake::start(move |head, stream| {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        if method == "DELETE" {
            deletes.fetch_add(1, Ordering::SeqCst);
            return reply(stream, "202 Accepted", &[], "");
        }
        let now = &digests[deletes.load(Ordering::SeqCst).min(1)];
        let headers = [("Docker-Content-Digest", now.as_str())];
        match path {
            "/v2/team/app/tags/list" => reply(stream, "200 OK", &[], r#"{"tags":["stays"]}"#),
            "/v2/team/app/manifests/stays" => reply(stream, "200 OK", &headers, ""),
            _ if path == child_path => reply(stream, "200 OK", &[], &child_body),
            _ if path == index_path => reply(stream, "200 OK", &[], &index_body),
            _ => reply(stream, "404 No", &[], ""),
        }
    });
    let items: Vec<Item> = [other, digest(&child)]
        .into_iter()
        .map(|digest| Item { repository: "team/app".into(), tag: None, digest })
        .collect();
    let client = Client::connect(&fake.url(), options()).unwrap();
    let selection = selection(items, &[("stays", &before)]);
    let report = delete(&client, &selection, |_, _| ControlFlow::Continue(()));
    let told = lines(&selection, &report);
    assert!(told[0].ends_with("deleted"), "{told:?}");
    assert!(told[1].ends_with("tag `stays`, which is newer than the scan, needs it"), "{told:?}");
}

/// Between two deletes of one run a tag that stays moves onto something that may name anything.
#[test]
fn a_tag_that_moves_onto_what_may_name_anything_keeps_all_of_its_repository() {
    let body = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:short"}]}"#;
    let (before, odd) = (Digest::of(b"before"), Digest::of(body.as_bytes()));
    let digests = [before.to_string(), odd.to_string()];
    let odd_path = format!("/v2/team/app/manifests/{odd}");
    let deletes = AtomicUsize::new(0);
    let fake = Fake::start(move |head, stream| {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        if method == "DELETE" {
            deletes.fetch_add(1, Ordering::SeqCst);
            return reply(stream, "202 Accepted", &[], "");
        }
        let now = &digests[deletes.load(Ordering::SeqCst).min(1)];
        let headers = [("Docker-Content-Digest", now.as_str())];
        match path {
            "/v2/team/app/tags/list" => reply(stream, "200 OK", &[], r#"{"tags":["stays"]}"#),
            "/v2/team/app/manifests/stays" => reply(stream, "200 OK", &headers, ""),
            _ if path == odd_path => reply(stream, "200 OK", &[], body),
            _ => reply(stream, "404 No", &[], ""),
        }
    });
    let items: Vec<Item> = [Digest::of(b"one"), Digest::of(b"two")]
        .into_iter()
        .map(|digest| Item { repository: "team/app".into(), tag: None, digest })
        .collect();
    let client = Client::connect(&fake.url(), options()).unwrap();
    let tags = BTreeMap::from([("stays".to_owned(), before)]);
    let staying_tags = BTreeMap::from([("team/app".to_owned(), tags)]);
    let selection = Selection { items, staying_tags, is_in_s3: false };
    let report = delete(&client, &selection, |_, _| ControlFlow::Continue(()));
    let told = lines(&selection, &report);
    assert_eq!(told.iter().filter(|line| line.ends_with("deleted")).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.contains("stays")).count(), 1, "{told:?}");
}

/// A registry that says it deletes, and lists all its tags as before: those of S3 before version 3.
#[test]
fn tags_that_may_be_there_all_the_same_are_asked_for_once_at_the_end() {
    let tags: Vec<String> =
        (0..30).flat_map(|number| [number.to_string(), format!("{number}-alpine")]).collect();
    let digests: BTreeMap<String, Digest> =
        tags.iter().map(|tag| (tag.clone(), Digest::of(tag.as_bytes()))).collect();
    let names = serde_json::json!({ "tags": tags }).to_string();
    for is_in_s3 in [true, false] {
        let gone = Mutex::new(BTreeSet::new());
        let (served, names) = (digests.clone(), names.clone());
        let fake = Fake::start(move |head, stream| {
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let name = path.rsplit('/').next().unwrap();
            let mut gone = gone.lock().unwrap();
            if method == "DELETE" {
                gone.insert(name.to_owned());
                return reply(stream, "202 Accepted", &[], "");
            }
            let digest = served.get(name).map(ToString::to_string);
            match digest.filter(|digest| !gone.contains(digest)) {
                _ if path.ends_with("/tags/list") => reply(stream, "200 OK", &[], &names),
                Some(digest) => {
                    let headers = [("Docker-Content-Digest", digest.as_str())];
                    reply(stream, "200 OK", &headers, "");
                }
                None => reply(stream, "404 No", &[], ""),
            }
        });
        let item = |number: u32| {
            let tag = number.to_string();
            let digest = digests[&tag].clone();
            Item { repository: "team/app".into(), tag: Some(tag), digest }
        };
        let items: Vec<Item> = (0..30).map(item).collect();
        let staying = digests.iter().filter(|(tag, _)| tag.contains('-'));
        let staying = staying.map(|(tag, digest)| (tag.clone(), digest.clone())).collect();
        let staying_tags = BTreeMap::from([("team/app".to_owned(), staying)]);
        let selection = Selection { items, staying_tags, is_in_s3 };
        let client = Client::connect(&fake.url(), options()).unwrap();
        let report = delete(&client, &selection, |_, _| ControlFlow::Continue(()));
        let told = lines(&selection, &report);
        let list_count = fake.heads().iter().filter(|head| head.contains("/tags/list")).count();
        if is_in_s3 {
            assert!(told.iter().all(|line| line.contains("still lists it")), "{told:#?}");
            assert!(told[1].contains("here `1-alpine`"), "{}", told[1]);
        } else {
            assert!(told.iter().all(|line| line.ends_with("deleted")), "{told:#?}");
        }
        // Once before each deletion, and once after all of them.
        assert_eq!(list_count, 30 + usize::from(is_in_s3));
    }
}
