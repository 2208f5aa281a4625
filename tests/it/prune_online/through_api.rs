//! Deleting through a registry's API, by who cannot reach its disk.

use serde_json::Value;

use super::{Bench, url};
use crate::env::shown;
use crate::real::layout::{Image, layer};
use crate::real::pushes;
use crate::real::registry::Registry;

fn image(name: &str) -> Image {
    Image::of(&[&layer("base", 8_000), &layer(name, 4_000)])
}

/// `1.0` and `stable` share a digest, `1.1` and `2.0` have their own, one image is untagged.
fn registry(change: impl FnOnce(&str) -> String) -> Registry {
    let registry = Registry::start_with(change);
    for (tag, name) in [("old", "old"), ("1.0", "one"), ("stable", "one"), ("1.1", "two")] {
        pushes::put(&registry, "team/app", tag, &image(name));
    }
    pushes::put(&registry, "team/app", "old", &image("three"));
    registry
}

const BOTH: &[&str] = &[
    "prune",
    "untagged-revisions",
    "--target",
    "team/app:1.0",
    "--target",
    "team/app:1.1",
    "--min-age",
    "0s",
    "--delete",
    "--yes",
];

#[test]
fn tags_that_share_a_digest_with_one_that_stays_are_skipped_and_told() {
    let registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    let output = bench.run(&[BOTH, &["--via-api", &url(&registry), "-f", "json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["mode"], "deleted");
    assert_eq!(document["counts"]["tags"], 1, "{document:#}");
    assert_eq!(document["counts"]["blobs"], 0, "the API cannot: {document:#}");
    let skipped = document["skipped"].as_array().unwrap();
    let reason = |tag: &str| {
        let of_tag = |item: &&Value| item["tag"] == tag;
        skipped.iter().find(of_tag).map(|item| item["reason"].as_str().unwrap().to_owned())
    };
    assert!(reason("1.0").unwrap().contains("also tagged `stable`"), "{skipped:#?}");
    let status = |reference: &str| {
        registry.ask("GET", &format!("/v2/team/app/manifests/{reference}")).status
    };
    assert_eq!([status("1.0"), status("stable"), status("1.1")], [200, 200, 404]);
    assert_eq!(status(&image("old").digest()), 404, "the untagged one");
    // Nothing went to a trash, and what the API leaves is garbage for another day.
    assert!(!registry.root().join(".regsql").exists());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("comes free when garbage is collected: regsql prune --garbage"),
        "{told}"
    );
}

#[test]
fn what_the_api_took_is_not_missed_and_all_that_it_left_is() {
    let registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    let only = ["prune", "--target", "team/app:1.1", "--min-age", "0s", "--delete", "--yes"];
    bench.ends(0, &[&only[..], &["--via-api", &url(&registry)]].concat());
    let root = registry.root();
    let scan = ["scan", root.to_str().unwrap()];
    let vanished = ["sql", "SELECT detail FROM problems WHERE code = 'vanished'", "-f", "csv"];
    bench.done(&scan);
    assert!(!bench.done(&vanished).contains("vanished since"));
    let away = registry.beside().join("away");
    std::fs::rename(root.join(regsql::sample::paths::repository("team")), &away).unwrap();
    bench.done(&scan);
    let said = bench.done(&vanished);
    assert!(said.contains("all 1 repository with 3 tags vanished since"), "{said}");
}

#[test]
fn a_registry_that_deletes_nothing_says_how_to_change_that() {
    let registry = registry(|config| config.replace("enabled: true", "enabled: false"));
    let bench = Bench::of(&registry.root());
    let text = bench.ends(2, &[BOTH, &["--via-api", &url(&registry)]].concat());
    assert!(text.contains("deletes are not enabled in its configuration"), "{text}");
    assert!(text.contains("hint: set `storage.delete.enabled: true`"), "{text}");
    assert_eq!(text.matches("hint: ").count(), 1, "{text}");
    assert!(text.contains("REGISTRY_STORAGE_DELETE_ENABLED=true"), "{text}");
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/1.1").status, 200);
}

#[test]
fn it_touches_no_storage_and_cannot_be_mixed_with_what_does() {
    let registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    let url = url(&registry);
    for other in
        ["--offline", "--online", "--no-trash", "--before=true", "--after=true", "--keep-revisions"]
    {
        let text = bench.ends(2, &[BOTH, &["--via-api", &url, other]].concat());
        assert!(text.contains("cannot be used with"), "{text}");
    }
    // The database alone is needed: somebody else made it, on another machine.
    bench.done(&["sql", "SELECT 1"]);
    let away = registry.beside().join("away");
    std::fs::rename(registry.root(), &away).unwrap();
    std::os::unix::fs::symlink(&away, registry.root()).unwrap();
    let only = ["prune", "--target", "team/app:1.1", "--min-age", "0s", "--delete", "--yes"];
    bench.ends(0, &[&only[..], &["--via-api", &url]].concat());
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/1.1").status, 404);
}

#[test]
fn a_wrong_password_deletes_nothing_and_is_never_shown() {
    // The bcrypt hash of `s3cret:pass`, as `htpasswd -B` writes it.
    let hash = "ann:$2y$05$abcdefghijklmnopqrstuuKqhJSfTIYV1SkiVqP0GjQATd/vnrS1a\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("htpasswd"), hash).unwrap();
    let mut registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    registry.restart_with(|config| {
        let path = directory.path().join("htpasswd");
        format!("{config}auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display())
    });
    let url = url(&registry);
    let text = bench.ends(2, &[BOTH, &["--via-api", &url]].concat());
    assert!(text.contains("not authorised: it wants a user and a password"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    std::fs::write(bench.path("password"), "wr0ng-s3cret\n").unwrap();
    let who = ["--registry-user", "ann", "--registry-password-file", "password"];
    let text = bench.ends(2, &[BOTH, &["--via-api", &url], &who[..]].concat());
    assert!(!text.contains("wr0ng-s3cret"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    std::fs::write(bench.path("password"), "s3cret:pass\n").unwrap();
    let output = bench.run(&[BOTH, &["--via-api", &url], &who[..]].concat());
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(1), "1.0 shares its digest: {text}");
    assert!(text.contains("Deleted 1 tag, 2 revisions through the API"), "{text}");
}

#[test]
fn a_tag_whose_manifest_stays_is_left_because_the_api_deletes_both() {
    let registry = registry(str::to_owned);
    let children = vec![image("amd64"), image("arm64")];
    let child = children[0].digest();
    pushes::put(&registry, "team/app", "multi", &Image::index(children));
    // The same manifest, tagged for itself.
    pushes::put(&registry, "team/app", "amd64-only", &image("amd64"));
    let bench = Bench::of(&registry.root());
    let used = registry.beside().join("used.list");
    std::fs::write(&used, format!("team/app@{}\n", image("two").digest())).unwrap();
    let choice = ["prune", "--target", "team/app:amd64-only", "--target", "team/app:1.1"];
    let acting = ["--min-age", "0s", "--delete", "--yes", "--max-delete-percent", "100"];
    let protect = ["--protect", used.to_str().unwrap(), "--via-api", &url(&registry)];
    let text = bench.ends(1, &[&choice[..], &acting, &protect].concat());
    assert!(text.contains("team/app:amd64-only: its manifest stays"), "{text}");
    let status = |reference: &str| {
        registry.ask("GET", &format!("/v2/team/app/manifests/{reference}")).status
    };
    assert_eq!([status("multi"), status(&child), status("amd64-only")], [200, 200, 200]);
    assert_eq!(status("1.1"), 200, "its digest is in use");
}

#[test]
fn a_dry_run_promises_what_the_api_can_do_and_no_more() {
    let registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    let dry: Vec<&str> =
        BOTH.iter().copied().filter(|word| !["--delete", "--yes"].contains(word)).collect();
    let through = ["--garbage", "--via-api", &url(&registry)];
    let text = bench.ends(1, &[&dry[..], &through].concat());
    assert!(text.contains("team/app:1.0: the same manifest is also tagged `stable`"), "{text}");
    assert!(text.contains("Would delete 1 tag, 2 revisions through the API"), "{text}");
    assert!(text.contains(", but only when garbage is collected"), "{text}");
    let output = bench.run(&[&dry[..], &through, &["-f", "json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["counts"]["blobs"], 0, "{document:#}");
    assert_eq!(document["freed_bytes"], 0, "{document:#}");
    let items = document["items"].as_array().unwrap();
    assert!(items.iter().all(|item| ["tag", "revision"].contains(&item["kind"].as_str().unwrap())));
}

/// What stays of a dry run, and why; it ends with `code`.
fn stays(bench: &Bench, code: i32, choice: &[&str]) -> Vec<(Value, String)> {
    let dry = ["--min-age", "0s", "--max-delete-percent", "100", "-f", "json"];
    let through = ["--via-api", "http://127.0.0.1:1"];
    let output = bench.run(&[&["prune"], choice, &dry, &through].concat());
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let skipped = document["skipped"].as_array().unwrap();
    let told = |item: &Value| (item["kind"].clone(), item["reason"].as_str().unwrap().to_owned());
    skipped.iter().map(told).collect()
}

#[test]
fn what_was_asked_for_and_only_the_disk_can_give_is_told() {
    let bench = Bench::of_sample();
    let half = regsql::sample::paths::tag("tool/cli", "half");
    std::fs::create_dir_all(bench.root().join(half)).unwrap();
    bench.done(&["scan", "registry"]);
    let reason = "the API deletes tags and revisions only";
    let told = |kind: &str| (Value::from(kind), reason.to_owned());

    let orphan = regsql::model::Digest::of(&[7; 4_000]).to_string();
    assert_eq!(stays(&bench, 1, &["--target", &orphan]), [told("blob")]);
    let repository = "SELECT repository FROM repositories WHERE repository = 'team/app'";
    let whole = ["--whole-repositories", "--sql"];
    assert_eq!(stays(&bench, 1, &[&whole[..], &[repository]].concat()), [told("repository")]);
    // Of this repository a tag cannot be named to the API either.
    let repository = "SELECT repository FROM repositories WHERE repository = 'tool/cli'";
    let stay = stays(&bench, 1, &[&whole[..], &[repository]].concat());
    let half = "its link cannot be read, and the API deletes a tag with its manifest";
    assert!(stay.contains(&(Value::from("tag"), half.into())), "{stay:?}");
    assert!(stay.contains(&told("repository")), "{stay:?}");
    // What merely follows, and garbage that a later collection takes, is no news; nor is it when a
    // saved plan names it.
    let tag = ["--target", "team/app:1.1"];
    assert_eq!(stays(&bench, 0, &[&tag[..], &["--garbage"]].concat()), []);
    bench.done(&[&["prune", "--min-age", "0s", "--save", "plan.json"], &tag[..]].concat());
    assert_eq!(stays(&bench, 0, &["--plan", "plan.json"]), []);
}

#[test]
fn a_scan_that_is_too_old_is_refused_because_nobody_can_look_again() {
    let registry = registry(str::to_owned);
    let bench = Bench::of(&registry.root());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let old = ["--max-scan-age", "1ms", "--via-api", &url(&registry)];
    let text = bench.ends(2, &[BOTH, &old].concat());
    assert!(text.contains("the scan is older than --max-scan-age"), "{text}");
    assert_eq!(registry.ask("GET", "/v2/team/app/manifests/1.1").status, 200);
}
