//! What `why` takes for a target, and what it says of one that names nothing or several things.

use super::*;

#[test]
fn hostile_names_are_found_and_shown_as_they_are() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    let tag = "v:1\u{1b}[31m\u{202e}<b>|`";
    registry.image("team/app").layers([&layer]).push_tag(tag);
    let scanned = Scanned::of(&registry);
    let target = format!("team/app:{tag}");
    assert_snapshot!(scanned.why(&[&target]), @r#"
    exit 0
    --- stdout
    tag team/app:v:1\x1b[31m\u{202e}<b>|`
      digest sha256:1ff9384e7d105cc748162a9d28168f90d7c58b606fb9f91e580412d0bfe077b0
      manifest, 424 B, application/vnd.docker.distribution.manifest.v2+json
      set 2026-01-01 00:00Z

    Kept: 1 tag in 1 repository leads to it
      tag team/app:v:1\x1b[31m\u{202e}<b>|` (this one)

    It reaches 3.633 KiB in all, of which 0 B are shared.
    Deleting this tag alone frees 3.633 KiB.

    scan of NOW
    "#);
    let json = scanned.why(&[&target, "--format", "json", "-q"]);
    assert!(!json.contains(['\u{1b}', '\u{202e}']), "{json}");
    assert_eq!(scanned.json(&target, &[])["tag"], tag);
}

#[test]
fn an_image_may_be_named_with_the_registry_that_clients_pull_it_from() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    registry.image("team/app").layers([&layer]).push_tag("1.0");
    let scanned = Scanned::of(&registry);
    let answer = scanned.why(&["team/app:1.0"]);
    assert!(answer.contains("tag team/app:1.0"), "{answer}");
    for host in ["registry.example:5000", "localhost", "10.0.0.1"] {
        assert_eq!(scanned.why(&[&format!("{host}/team/app:1.0")]), answer);
    }
}

#[test]
fn what_names_nothing_or_several_things_is_an_error_with_a_hint() {
    let mut registry = registry();
    let layer = registry.layer("base", 3000);
    registry.image("team/app").layers([&layer]).push_tags(["1.0", "latest"]);
    let scanned = Scanned::of(&registry);
    let mut told = Vec::new();
    for target in [
        "team/ap:1.0",
        "team/app:lates",
        "registry.example:5000/team/ap:1.0",
        "team/app@sha256:0000",
        "ffffffff",
        "sha256:abc",
        "abc",
        "",
        "zzz:1",
    ] {
        told.push(format!("$ regsql why '{target}'\n{}", scanned.why(&[target])));
    }
    assert_snapshot!(told.join("\n"), @"
    $ regsql why 'team/ap:1.0'
    exit 2
    --- stderr
    error: there is no repository `team/ap` in the snapshot
    hint: did you mean `team/app`?
    $ regsql why 'team/app:lates'
    exit 2
    --- stderr
    error: repository `team/app` has no tag `lates`
    hint: did you mean `team/app:latest`?
    $ regsql why 'registry.example:5000/team/ap:1.0'
    exit 2
    --- stderr
    error: there is no repository `team/ap` in the snapshot
    hint: did you mean `team/app`?
    $ regsql why 'team/app@sha256:0000'
    exit 2
    --- stderr
    error: repository `team/app` has no revision `sha256:0000`
    hint: `regsql why sha256:0000` says what refers to it, if anything does
    $ regsql why 'ffffffff'
    exit 2
    --- stderr
    error: no blob in the snapshot has the digest `ffffffff`
    hint: a blob that came after the scan is not in it; `regsql scan` looks again
    $ regsql why 'sha256:abc'
    exit 2
    --- stderr
    error: `sha256:abc` is no repository in the snapshot, no digest, and neither REPO:TAG nor REPO@DIGEST
    hint: `regsql report repositories` lists repositories; a digest is sha256:… or at least four digits of it
    $ regsql why 'abc'
    exit 2
    --- stderr
    error: `abc` is no repository in the snapshot, no digest, and neither REPO:TAG nor REPO@DIGEST
    hint: `regsql report repositories` lists repositories; a digest is sha256:… or at least four digits of it
    $ regsql why ''
    exit 2
    --- stderr
    error: `` is no repository in the snapshot, no digest, and neither REPO:TAG nor REPO@DIGEST
    hint: `regsql report repositories` lists repositories; a digest is sha256:… or at least four digits of it
    $ regsql why 'zzz:1'
    exit 2
    --- stderr
    error: there is no repository `zzz` in the snapshot
    hint: `regsql report repositories` lists them
    ");
}

#[test]
fn a_beginning_that_several_digests_have_lists_them() {
    let mut registry = registry();
    registry.image("team/app").push_tag("1.0");
    let hex = |rest: &str| format!("abcd{rest:0>60}");
    for number in 0..12 {
        let digest = Digest::from_sha256_hex(hex(&number.to_string()).as_bytes()).unwrap();
        registry.put(paths::blob(&digest), Content::Bytes(vec![b'x'; 5000]));
    }
    let scanned = Scanned::of(&registry);
    assert_snapshot!(scanned.why(&["abcd"]), @r#"
    exit 2
    --- stderr
    error: `abcd` is the beginning of 12 digests:
      sha256:abcd000000000000000000000000000000000000000000000000000000000000
      sha256:abcd000000000000000000000000000000000000000000000000000000000001
      sha256:abcd000000000000000000000000000000000000000000000000000000000002
      sha256:abcd000000000000000000000000000000000000000000000000000000000003
      sha256:abcd000000000000000000000000000000000000000000000000000000000004
      sha256:abcd000000000000000000000000000000000000000000000000000000000005
      sha256:abcd000000000000000000000000000000000000000000000000000000000006
      sha256:abcd000000000000000000000000000000000000000000000000000000000007
      sha256:abcd000000000000000000000000000000000000000000000000000000000008
      sha256:abcd000000000000000000000000000000000000000000000000000000000009
      and 2 more
    hint: give more digits
    "#);
    assert_snapshot!(scanned.why(&[&hex("11")[..64]]), @"
    exit 0
    --- stdout
    sha256:abcd000000000000000000000000000000000000000000000000000000000011
      a blob of unknown kind, 4.883 KiB
      written 2026-01-01 00:00Z

    Garbage: nothing in any repository leads to it

    Storage does not record since when; it was written when it says above.
    Deleting it frees 4.883 KiB.

    scan of NOW
    ");
}

#[test]
fn an_empty_registry_has_nothing_to_ask_about() {
    let scanned = Scanned::of(&registry());
    assert_snapshot!(scanned.why(&["abcd"]), @r#"
    exit 2
    --- stderr
    error: no blob in the snapshot has the digest `abcd`
    hint: a blob that came after the scan is not in it; `regsql scan` looks again
    "#);
    assert_snapshot!(scanned.why(&["team/app:1.0"]), @r#"
    exit 2
    --- stderr
    error: there is no repository `team/app` in the snapshot
    hint: `regsql report repositories` lists them
    "#);
}
