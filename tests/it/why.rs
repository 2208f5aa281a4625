//! `regsql why`: who keeps what, on storages that are written, scanned by the program, and asked about.

mod targets;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;
use regsql::model::Digest;
use regsql::sample::{Content, RegistryBuilder, demo, paths};
use rusqlite::Connection;
use serde_json::Value;

use crate::env::shown;

/// 2026-01-01T00:00:00Z and later.
fn day(day: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + day * 86_400)
}

fn registry() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    registry.at(day(0));
    registry
}

/// A scanned storage.
struct Scanned(tempfile::TempDir);

impl Scanned {
    fn of(registry: &RegistryBuilder) -> Self {
        Self::after(registry, |_| {})
    }

    /// The same after `damage` was done to the storage.
    fn after(registry: &RegistryBuilder, damage: impl FnOnce(&Path)) -> Self {
        let scanned = Self(tempfile::tempdir().unwrap());
        let storage = scanned.0.path().join("storage");
        std::fs::create_dir(&storage).unwrap();
        std::fs::create_dir_all(storage.join("docker/registry/v2/repositories")).unwrap();
        std::fs::create_dir_all(storage.join("docker/registry/v2/blobs")).unwrap();
        registry.write_to(&storage).unwrap();
        damage(&storage);
        let output = scanned.command(&["scan", "storage"]).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        scanned
    }

    fn command(&self, arguments: &[&str]) -> Command {
        crate::env::regsql_in(self.0.path(), arguments)
    }

    /// What `why` says, with what stays the same from run to run.
    fn why(&self, arguments: &[&str]) -> String {
        let mut all = vec!["why"];
        all.extend(arguments);
        let text = shown(&self.command(&all).output().unwrap());
        let mut lines = Vec::new();
        for line in text.lines() {
            lines.push(if line.starts_with("scan of ") {
                let (_, rest) = line.split_once(" took ").unwrap();
                let rest = rest.split_once(" · ").map(|(_, rest)| format!(" · {rest}"));
                format!("scan of NOW{}", rest.unwrap_or_default())
            } else {
                line.to_owned()
            });
        }
        lines.join("\n")
    }

    fn json(&self, target: &str, more: &[&str]) -> Value {
        let mut all = vec!["why", target, "-q", "--format", "json"];
        all.extend(more);
        let output = self.command(&all).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn database(&self) -> Connection {
        Connection::open(self.0.path().join("registry.db")).unwrap()
    }
}

fn text(digest: &Digest) -> String {
    digest.to_string()
}

#[test]
fn a_layer_leads_through_manifest_and_index_to_a_tag_of_its_repository() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    let image =
        registry.image("team/app").step("ADD base /", &layer).platform("linux/arm64").push();
    let list = registry.index("team/app").children([&image]).push();
    registry.index("team/app").children([&list]).push_tag("1.0");
    registry.image("other/tool").layers([&layer]).push_tags(["a", "b"]);
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @r#"
    exit 0
    --- stdout
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb
      layer, 2.930 KiB, application/vnd.docker.image.rootfs.diff.tar.gzip
      made by ADD base /
      written 2026-01-01 00:00Z

    Kept: 3 tags in 2 repositories lead to it
      layer of manifest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0 (linux/amd64)
        tag other/tool:a
      layer of manifest sha256:491ff8450c947a8ea49463c1cb5accf755b29ed8e42cb093456c528603dc9eda (linux/arm64)
        in index sha256:41563933d182f7accee8b1be490b1188aec07c343a897b11e1bcc7205f89cdb7
          in index sha256:c4b25bb9a5dd5c40362488bf1fd1d0420b3005b988fdedc3f523d89e6c0a0233
            tag team/app:1.0
      and 1 more tag: --all

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&[&text(&layer.digest), "--all"]), @r#"
    exit 0
    --- stdout
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb
      layer, 2.930 KiB, application/vnd.docker.image.rootfs.diff.tar.gzip
      made by ADD base /
      written 2026-01-01 00:00Z

    Kept: 3 tags in 2 repositories lead to it
      layer of manifest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0 (linux/amd64)
        tag other/tool:a
        tag other/tool:b
      layer of manifest sha256:491ff8450c947a8ea49463c1cb5accf755b29ed8e42cb093456c528603dc9eda (linux/arm64)
        in index sha256:41563933d182f7accee8b1be490b1188aec07c343a897b11e1bcc7205f89cdb7
          in index sha256:c4b25bb9a5dd5c40362488bf1fd1d0420b3005b988fdedc3f523d89e6c0a0233
            tag team/app:1.0

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)[..20], "--format", "csv"]), @r#"
    exit 0
    --- stdout
    digest,verdict,repository,tag,manifest_digest,via
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb,kept,other/tool,a,sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0,layer of sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb,kept,team/app,1.0,sha256:c4b25bb9a5dd5c40362488bf1fd1d0420b3005b988fdedc3f523d89e6c0a0233,"layer of sha256:491ff8450c947a8ea49463c1cb5accf755b29ed8e42cb093456c528603dc9eda, child of sha256:41563933d182f7accee8b1be490b1188aec07c343a897b11e1bcc7205f89cdb7, child of sha256:c4b25bb9a5dd5c40362488bf1fd1d0420b3005b988fdedc3f523d89e6c0a0233"
    --- stderr
    scan of NOW
    "#);
}

#[test]
fn a_referrer_is_kept_by_what_it_is_about_in_its_own_repository() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    let image = registry.image("team/app").layers([&layer]).push_tag("1.0");
    let bill = registry.referrer("team/app", &image, "application/spdx+json", "{\"a\":1}");
    // The same image elsewhere, where the referrer was never pushed.
    registry.link_revision("team/copy", &image.digest);
    registry.tag("team/copy", "1.0", &image.digest);
    let config = Digest::of(b"{\"a\":1}");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&format!("team/app@{}", bill.digest)]), @"
    exit 0
    --- stdout
    revision of team/app
      digest sha256:c56331a5da9187b81a1c8c97e2a583d778ee08eeaa6557876f075be99606ab33
      manifest, 580 B, application/vnd.oci.image.manifest.v1+json,
      application/spdx+json
      pushed 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      refers to manifest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0 (linux/amd64)
        tag team/app:1.0

    It is about
    sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0, and
    goes with it.
    It reaches 589 B in all, of which 589 B are shared.
    Its own bytes are counted to what it is about.

    scan of NOW
    ");
    assert_snapshot!(scanned.why(&[&text(&config), "--all"]), @r#"
    exit 0
    --- stdout
    sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862
      layer, 7 B, application/spdx+json
      written 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      layer of manifest sha256:c56331a5da9187b81a1c8c97e2a583d778ee08eeaa6557876f075be99606ab33
        refers to manifest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0 (linux/amd64)
          tag team/app:1.0

    It comes free with the tag team/app:1.0: deleting that frees 589 B.

    scan of NOW
    "#);
}

#[test]
fn an_untagged_revision_keeps_and_says_which_tag_left_it_behind() {
    let mut registry = registry();
    let layer = registry.layer("old", 3000);
    let old = registry.image("team/app").layers([&layer]).push_tag("latest");
    registry.at(day(3));
    let new = registry.layer("new", 2000);
    registry.image("team/app").layers([&new]).push_tag("latest");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @r#"
    exit 0
    --- stdout
    sha256:d5c96e0c71f759600aec18bb6e8179de40372c56926fd1c979e744c0e046956f
      layer, 2.930 KiB, application/vnd.docker.image.rootfs.diff.tar.gzip
      written 2026-01-01 00:00Z

    Kept, though no tag leads to it
      layer of manifest sha256:f625f055079dae78415fb6d3783718057afdfd0bd9827eb031dca9a5900597f7 (linux/amd64)
        revision of team/app that no tag leads to, pushed 2026-01-01 00:00Z

    No tag alone keeps it. Only team/app needs it: deleting that whole repository
    frees 6.289 KiB.

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&[&format!("team/app@{}", old.digest)]), @"
    exit 0
    --- stdout
    revision of team/app
      digest sha256:f625f055079dae78415fb6d3783718057afdfd0bd9827eb031dca9a5900597f7
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      pushed 2026-01-01 00:00Z

    Kept, though no tag leads to it
      revision of team/app that no tag leads to, pushed 2026-01-01 00:00Z

    No tag of the repository leads to it. Storage does not record since when.
    Tag latest pointed at it, and was set again, last on 2026-01-04 00:00Z.
    It reaches 3.633 KiB in all, of which 0 B are shared.
    Deleting it, its tags and what they leave unreferenced frees 3.633 KiB.

    scan of NOW
    ");
}

#[test]
fn a_blob_by_its_sha512_digest_is_kept_by_who_names_that() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    let alias = registry.sha512_alias("team/app", &layer);
    registry.image("team/app").layers([&alias]).push_tag("1.0");
    // The link of the sha512 digest leads to the sha256 one.
    registry.link_layer_alias("team/app", &alias.digest, &layer.digest);
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @"
    exit 0
    --- stdout
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb
      a blob of unknown kind, 2.930 KiB
      written 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      also called sha512:c4fb026d3be34328d6a82db81b9b333c5b354bd487f58ef990093a3b0e65e04f1ade23ca5be704d9fe277f380fa2d543dc6b1299dc0d2da55416de20eeaba248
        layer of manifest sha256:c8be9fe049d969e64633c91a15b01619eb10e03223c53336068cd099d854ea09 (linux/amd64)
          tag team/app:1.0

    It comes free with the tag team/app:1.0: deleting that frees 3.695 KiB.

    scan of NOW
    ");
    assert_snapshot!(scanned.why(&[&text(&alias.digest)[..30]]), @"
    exit 0
    --- stdout
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb
      a blob of unknown kind, 2.930 KiB
      written 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      also called sha512:c4fb026d3be34328d6a82db81b9b333c5b354bd487f58ef990093a3b0e65e04f1ade23ca5be704d9fe277f380fa2d543dc6b1299dc0d2da55416de20eeaba248
        layer of manifest sha256:c8be9fe049d969e64633c91a15b01619eb10e03223c53336068cd099d854ea09 (linux/amd64)
          tag team/app:1.0

    sha512:c4fb026d3be34328d6a82db81b9b333c5b354bd487f58ef990093a3b0e65e04f1ade23ca5be704d9fe277f380fa2d543dc6b1299dc0d2da55416de20eeaba248
    is another name of it.
    It comes free with the tag team/app:1.0: deleting that frees 3.695 KiB.

    scan of NOW
    ");
}

#[test]
fn an_index_whose_other_platforms_were_not_copied_still_keeps_the_one_that_was() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    let image = registry.image("team/app").layers([&layer]).push();
    let absent = regsql::sample::Descriptor::new(Digest::of(b"another platform"), 500)
        .of_type("application/vnd.oci.image.manifest.v1+json");
    registry.index("team/app").children([&image, &absent]).push_tag("1.0");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&format!("team/app@{}", image.digest)]), @"
    exit 0
    --- stdout
    revision of team/app
      digest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      pushed 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      in index sha256:cb8539d0ccf1dd4183c797cf3f375eaa2e0b911ef980224ca741c598a0af1f9c
        tag team/app:1.0

    It reaches 3.633 KiB in all, of which 3.633 KiB are shared.
    Deleting it, its tags and what they leave unreferenced frees 0 B.

    scan of NOW
    ");
    assert_snapshot!(scanned.why(&[&text(&absent.digest)]), @"
    exit 0
    --- stdout
    sha256:663303b335ea7ab4b648fc6bf8825bd7004425d6f16523a865b89bc427afef33
      a blob of unknown kind

    Not on disk, and 1 tag leads to it
      in index sha256:cb8539d0ccf1dd4183c797cf3f375eaa2e0b911ef980224ca741c598a0af1f9c
        tag team/app:1.0

    scan of NOW
    ");
}

#[test]
fn garbage_says_what_still_names_it_and_what_deleting_it_frees() {
    let mut registry = registry();
    let layer = registry.layer("gone", 3000);
    let image = registry.image("team/app").layers([&layer]).push();
    registry.tree.remove(&paths::revision_link("team/app", &image.digest));
    let kept = registry.layer("kept", 100);
    registry.image("team/app").layers([&kept]).push_tag("1.0");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @r#"
    exit 0
    --- stdout
    sha256:c7d3573e36f4d0b3f94f71a06624fce03a42769e74bd415d1aa48714c8c162c0
      layer, 2.930 KiB
      written 2026-01-01 00:00Z

    Garbage: nothing in any repository leads to it

    Storage does not record since when; it was written when it says above.
    Manifest sha256:6c073f47fe964ec110e6850388660a3d62b45b3a96b21923f1d74f24256f7dcb
    names it (layer), and is garbage itself.
    1 layer link still leads to it; a link keeps nothing:
      team/app, written 2026-01-01 00:00Z
    Deleting it frees 2.930 KiB.

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&[&text(&layer.digest), "--format", "ndjson", "-q"]), @r#"
    exit 0
    --- stdout
    {"schema":1,"target":"sha256:c7d3573e36f4d0b3f94f71a06624fce03a42769e74bd415d1aa48714c8c162c0","kind":"blob","digest":"sha256:c7d3573e36f4d0b3f94f71a06624fce03a42769e74bd415d1aa48714c8c162c0","verdict":"garbage","path":[]}
    "#);
}

#[test]
fn a_blob_that_is_gone_says_which_tags_miss_it_and_which_links_dangle() {
    let mut registry = registry();
    let layer = registry.layer("lost", 3000);
    registry.image("team/app").layers([&layer]).push_tags(["1.0", "1.1"]);
    registry.tree.remove(&paths::blob_directory(&layer.digest));
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @r#"
    exit 0
    --- stdout
    sha256:2d5c8c63c206398b92a3dec003adaaa028416223a3070bb4c530c620f84cbb85
      layer, application/vnd.docker.image.rootfs.diff.tar.gzip

    Not on disk, and 2 tags lead to it
      layer of manifest sha256:6033465c4233c3d160c27dc68d78af9bb40db843386cda2a91955341cd99ef68 (linux/amd64)
        tag team/app:1.0, which cannot be pulled
      and 1 more tag: --all

    1 layer link still leads to it, to nothing:
      team/app, written 2026-01-01 00:00Z

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&["team/app:1.0"]), @"
    exit 0
    --- stdout
    tag team/app:1.0
      digest sha256:6033465c4233c3d160c27dc68d78af9bb40db843386cda2a91955341cd99ef68
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      set 2026-01-01 00:00Z

    Kept: 2 tags in 1 repository lead to it
      tag team/app:1.0 (this one), which cannot be pulled
      tag team/app:1.1, which cannot be pulled

    The tag cannot be pulled whole:
      layer-missing sha256:2d5c8c63c206398b92a3dec003adaaa028416223a3070bb4c530c620f84cbb85
    On the same digest: 1.1.
    None of these tags frees anything alone; the two together free 720 B.
    It reaches 720 B in all, of which 720 B are shared.
    Deleting this tag alone frees 0 B.

    scan of NOW
    ");
}

#[test]
fn tags_on_one_digest_free_nothing_alone_and_the_rest_is_shared() {
    let mut registry = registry();
    let base = registry.layer("base", 3000);
    let own = registry.layer("own", 2000);
    registry.image("team/base").layers([&base]).push_tag("1");
    let image = registry.image("team/app").layers([&base, &own]).push_tags(["1.0", "1", "latest"]);
    registry.index("team/app").children([&image]).push_tag("multi");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&["team/app:1.0"]), @"
    exit 0
    --- stdout
    tag team/app:1.0
      digest sha256:60c56a619a3bce5586844f9816448f78f2e917628734e463f66317c78930e313
      manifest, 585 B, application/vnd.docker.distribution.manifest.v2+json
      set 2026-01-01 00:00Z

    Kept: 4 tags in 1 repository lead to it
      tag team/app:1
      tag team/app:1.0 (this one)
      tag team/app:latest
      in index sha256:b4e05c703af1b8a1da482aecf10fb8950ea6cda464c6d810fa55c7368edabc86
        tag team/app:multi

    On the same digest: 1, latest.
    None of these tags frees anything alone; all 3 together free 0 B.
    It reaches 5.815 KiB in all, of which 5.815 KiB are shared.
    Deleting this tag alone frees 0 B.

    scan of NOW
    ");
    assert_snapshot!(scanned.why(&["team/base:1"]), @"
    exit 0
    --- stdout
    tag team/base:1
      digest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      set 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      tag team/base:1 (this one)

    It reaches 3.633 KiB in all, of which 2.930 KiB are shared.
    Deleting this tag alone frees 720 B.

    scan of NOW
    ");
}

#[test]
fn what_cannot_be_read_keeps_what_it_may_need_and_is_named() {
    let mut registry = registry();
    let layer = registry.layer("cache", 3000);
    registry.link_layer("team/app", &layer.digest);
    registry.manifest("team/app", "{ this is no manifest");
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @"
    exit 0
    --- stdout
    sha256:1806d1f5eba80edc128ad859bbe976e8f27c63d493232090cb5520dd7729a22a
      a blob of unknown kind, 2.930 KiB
      written 2026-01-01 00:00Z

    Kept, though no tag leads to it
      what its repository links is kept, because something cannot be read: not-a-manifest at docker/registry/v2/blobs/sha256/0a/0ac67c149516340be1fb403054e1fe60ab0c2c2331b602df8e0cd3ac378d5062/data

    No tag alone keeps it. Only team/app needs it: deleting that whole repository
    frees 2.950 KiB.

    scan of NOW · references seem to be held elsewhere: regsql report authority
    ");
    let mut registry = self::registry();
    let image = registry.image("team/app").layers([&layer]).push();
    registry.tag("team/app", "1.0", &image.digest);
    registry.tree.remove(&paths::revision_link("team/app", &image.digest));
    registry.put(paths::tag_current("team/app", "1.0"), Content::Bytes(Vec::new()));
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&[&text(&image.digest)]), @r#"
    exit 0
    --- stdout
    sha256:a4970358ae94fed6ae5388182755f9de6b7e6d41d4a54af0a205be1264e69918
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      written 2026-01-01 00:00Z

    Kept, though no tag leads to it
      it is kept, because something cannot be read: tag-link-unreadable at docker/registry/v2/repositories/team/app/_manifests/tags
      and more paths: --all

    scan of NOW
    "#);
    assert_snapshot!(scanned.why(&["team/app:1.0"]), @r#"
    exit 0
    --- stdout
    tag team/app:1.0
      points at nothing that can be read
      set 2026-01-01 00:00Z

    Broken: it leads nowhere

    The tag cannot be pulled whole:
      tag-link-missing
    It reaches 0 B in all, of which 0 B are shared.
    Deleting this tag alone frees 0 B.

    scan of NOW
    "#);
}

#[test]
fn revisions_that_cannot_be_listed_keep_what_their_repository_links() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    registry.image("team/app").layers([&layer]).push_tag("1.0");
    let scanned = Scanned::after(&registry, |storage| {
        let manifests = storage.join("docker/registry/v2/repositories/team/app/_manifests");
        std::fs::remove_dir_all(&manifests).unwrap();
        std::os::unix::fs::symlink("/nowhere", &manifests).unwrap();
    });
    assert_snapshot!(scanned.why(&[&text(&layer.digest)]), @r#"
    exit 0
    --- stdout
    sha256:5ce7e9d53288533acae60ffd3480cbcb59568f679a517a5ddcf4a533b030b6cb
      layer, 2.930 KiB
      written 2026-01-01 00:00Z

    Kept, though no tag leads to it
      what may be a manifest is kept, because something cannot be read: symlink-not-followed at docker/registry/v2/repositories/team/app/_manifests

    scan of NOW · incomplete: every figure is a minimum
    "#);
}

#[test]
fn after_an_incomplete_scan_every_figure_is_at_least() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    registry.image("team/app").layers([&layer]).push_tag("1.0");
    let orphan = registry.blob("nobody needs this");
    // What a symbolic link leads to is not read.
    let scanned = Scanned::after(&registry, |storage| {
        let repositories = storage.join("docker/registry/v2/repositories");
        std::os::unix::fs::symlink("/nowhere", repositories.join("linked")).unwrap();
    });
    assert_snapshot!(scanned.why(&[&text(&orphan.digest)]), @"
    exit 0
    --- stdout
    sha256:52c04b39d6f9f5cd63dab302da317bf95cfeebac79d43a993d00c059aecdd315
      a blob of unknown kind, 17 B
      written 2026-01-01 00:00Z

    Kept, though no tag leads to it
      everything is kept, because something cannot be read: symlink-not-followed at docker/registry/v2/repositories/linked

    scan of NOW · incomplete: every figure is a minimum
    ");
    assert_snapshot!(scanned.why(&["team/app:1.0"]), @"
    exit 0
    --- stdout
    tag team/app:1.0
      digest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      set 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      tag team/app:1.0 (this one)

    It reaches ≥ 3.633 KiB in all, of which ≥ 3.633 KiB are shared.
    Deleting this tag alone frees ≥ 0 B.

    scan of NOW · incomplete: every figure is a minimum
    ");
}

/// Pairs of texts that a query gives.
fn pairs(database: &Connection, sql: &str) -> BTreeSet<(String, String)> {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn every_blob_is_kept_if_and_only_if_it_is_no_orphan_and_every_path_is_real() {
    let now = day(20);
    let scanned = Scanned::of(&demo::demo_registry(now));
    let database = scanned.database();
    let orphans = pairs(&database, "SELECT blob_digest, '' FROM orphan_blobs");
    let blobs = pairs(&database, "SELECT digest, is_present || '' FROM blobs");
    let references =
        pairs(&database, "SELECT digest, manifest_digest || role FROM manifest_references");
    let tags = pairs(&database, "SELECT repository || ':' || tag, manifest_digest FROM tags");
    let untagged =
        pairs(&database, "SELECT repository, manifest_digest FROM revisions WHERE is_tagged = 0");
    let connection = &database;
    for (blob, is_present) in &blobs {
        let question = regsql::why::Question::new(connection, blob).unwrap();
        let answer = question.answer().unwrap();
        let expected = match (is_present.as_str(), orphans.contains(&(blob.clone(), String::new())))
        {
            ("0", _) => "absent",
            (_, true) => "garbage",
            (_, false) => "kept",
        };
        assert_eq!(answer.verdict.name(), expected, "{blob}");
        for is_all in [false, true] {
            let mut found = 0;
            let mut repositories = BTreeSet::new();
            let mut reached = BTreeSet::new();
            let take = |path: &[regsql::why::Step]| {
                let path: Value = serde_json::to_value(path).unwrap();
                let steps = path.as_array().unwrap();
                assert_eq!(steps[0]["digest"], blob.as_str());
                for pair in steps.windows(2) {
                    let text =
                        |step: &Value, key: &str| step[key].as_str().unwrap_or("").to_owned();
                    let (below, above) = (text(&pair[0], "digest"), text(&pair[1], "digest"));
                    match pair[1]["type"].as_str().unwrap() {
                        "manifest" | "index" if pair[1]["via"] == "subject" => {
                            // Named in the manifest, or by a tag that points at it.
                            let is_named =
                                references.contains(&(above.clone(), format!("{below}subject")));
                            let tag = format!(":{}", above.replace(':', "-"));
                            let is_tagged = tags
                                .iter()
                                .any(|(name, target)| name.contains(&tag) && *target == below);
                            assert!(is_named || is_tagged, "{below} is not about {above}");
                        }
                        "manifest" | "index" => {
                            let via = text(&pair[1], "via");
                            assert!(references.contains(&(below, format!("{above}{via}"))));
                        }
                        "tag" => {
                            let name = format!(
                                "{}:{}",
                                text(&pair[1], "repository"),
                                text(&pair[1], "tag")
                            );
                            assert!(tags.contains(&(name.clone(), below)), "{name}");
                            reached.insert(name);
                        }
                        "repository" if pair[1]["revision"] == "untagged" => {
                            assert!(untagged.contains(&(text(&pair[1], "repository"), below)));
                        }
                        "repository" => {
                            assert_eq!(pair[0]["repository"], pair[1]["repository"]);
                        }
                        other => panic!("{other} in {path}"),
                    }
                }
                repositories.insert(steps.last().unwrap()["repository"].to_string());
                found += 1;
                Ok(())
            };
            let end = if is_all { question.all_paths(take) } else { question.nearest_paths(take) };
            let end = end.unwrap();
            assert_eq!(end.paths, found);
            if expected != "absent" {
                assert_eq!(found > 0, expected == "kept", "{blob}");
            }
            if is_all {
                assert!(!end.is_cut);
                assert_eq!(repositories.len() as i64, answer.repository_count, "{blob}");
                assert_eq!(reached.len() as i64, answer.tag_count, "{blob}");
            }
        }
    }
}
