//! Manifests that are missing, damaged, too large, or of an unusual kind.

use regsql::model::{Code, Digest};
use regsql::sample::{Content, Descriptor, media_types, paths};

use super::fixture::Fixture;

/// Pushes an image, loses what its manifest said, and asserts that all its repository links is kept.
#[track_caller]
fn assert_held_after(code: Code, damage: impl Fn(&mut Fixture, &Descriptor)) {
    for is_tagged in [true, false] {
        let mut fixture = Fixture::new();
        let (broken, _) = fixture.push_with_layer("team/app", "1.0");
        if !is_tagged {
            fixture.registry.untag("team/app", "1.0");
        }
        // Might be a child of the broken one, if that was an index.
        let untagged = fixture.push_untagged("team/app", "nightly");
        let unreferenced = fixture.registry.layer("linked and in no manifest", 600);
        fixture.registry.link_layer("team/app", &unreferenced.digest);
        damage(&mut fixture, &broken);
        let scanned = fixture.scan();
        scanned.has_problem(code, &paths::blob(&broken.digest));
        if is_tagged {
            scanned.tag_is_broken("team/app", "1.0", Some(&broken.digest));
        }
        scanned.revision_is_tagged("team/app", &untagged.digest, false);
        scanned.is_held("team/app");
        scanned.is_not_held("bystander/app");
        let has_root = scanned.exists(
            "SELECT 1 FROM unreadable_roots
             WHERE scope = 'repository' AND repository = 'team/app' AND code = ?1",
            [code.name()],
        );
        assert!(has_root, "unreadable_roots does not say why it is kept");
        scanned.only_garbage_is_orphan();
    }
}

fn rewrite(body: &'static str) -> impl Fn(&mut Fixture, &Descriptor) {
    move |fixture, manifest| fixture.overwrite(paths::blob(&manifest.digest), body)
}

#[test]
fn case_07_a_missing_manifest_holds_its_repository() {
    assert_held_after(Code::ManifestMissing, |fixture, manifest| {
        fixture.remove(&paths::blob_directory(&manifest.digest));
    });
}

#[test]
fn case_08_an_empty_manifest_holds_its_repository() {
    assert_held_after(Code::ManifestUnreadable, rewrite(""));
}

#[test]
fn case_08_a_manifest_cut_short_holds_its_repository() {
    assert_held_after(
        Code::ManifestUnreadable,
        rewrite(r#"{"schemaVersion":2,"config":{"digest":"sha256:"#),
    );
}

#[test]
fn case_08_two_documents_in_one_manifest_hold_its_repository() {
    assert_held_after(
        Code::ManifestUnreadable,
        rewrite(r#"{"schemaVersion":2,"layers":[]}{"schemaVersion":2,"layers":[]}"#),
    );
}

#[test]
fn case_08_a_manifest_of_ten_thousand_levels_holds_its_repository() {
    assert_held_after(Code::ManifestUnreadable, |fixture, manifest| {
        fixture.overwrite(paths::blob(&manifest.digest), &"[".repeat(10_000));
    });
}

#[test]
fn case_21_a_buildkit_cache_keeps_the_layers_in_its_index() {
    let mut fixture = Fixture::new();
    let layers = ["one", "two"].map(|name| fixture.registry.layer(name, 4_000));
    let cache = fixture.registry.buildkit_cache("ci/cache", &layers, "main");
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.tag_is_whole("ci/cache", "main", &cache.digest);
    let kinds = scanned.column::<String>(
        "SELECT kind FROM blobs WHERE digest IN (?1, ?2)",
        [&layers[0].digest, &layers[1].digest].map(ToString::to_string),
    );
    assert_eq!(kinds, ["layer".to_owned()].into());
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_22_foreign_layers_and_platforms_left_out_are_no_damage() {
    let mut fixture = Fixture::new();
    let base = fixture.registry.layer("windows", 3_000);
    let foreign = Descriptor::foreign_layer("windows-base", 1_700_000);
    let image = fixture
        .registry
        .image("team/windows")
        .layers([&foreign, &base])
        .platform("windows/amd64")
        .push_tag("1.0");
    let amd64 = fixture.push_untagged("team/app", "amd64");
    let arm64 = Descriptor::new(Digest::of(b"never mirrored"), 528).on_platform("linux/arm64");
    let index = fixture.registry.index("team/app").children([&amd64, &arm64]).push_tag("1.0");
    let scanned = fixture.scan();
    scanned.has_problem(Code::IndexChildAbsent, &paths::blob(&arm64.digest));
    scanned.has_only(&[Code::IndexChildAbsent]);
    scanned.tag_is_whole("team/windows", "1.0", &image.digest);
    scanned.tag_is_whole("team/app", "1.0", &index.digest);
    scanned.revision_is_tagged("team/app", &amd64.digest, true);
    scanned.only_garbage_is_orphan();
}

#[test]
fn a_child_on_disk_that_its_repository_does_not_link_breaks_the_tags_on_its_index() {
    let mut fixture = Fixture::new();
    let amd64 = fixture.push_untagged("team/app", "amd64");
    let arm64 = fixture.push_untagged("team/app", "arm64");
    let index = fixture.registry.index("team/app").children([&amd64, &arm64]).push_tag("1.0");
    let link = paths::revision_link("team/app", &arm64.digest);
    fixture.remove(link.strip_suffix("/link").unwrap());
    let scanned = fixture.scan();
    scanned.has_problem(Code::ChildWithoutRevision, &link);
    scanned.has_only(&[Code::ChildWithoutRevision]);
    scanned.tag_is_broken("team/app", "1.0", Some(&index.digest));
    let output = scanned.run(&["verify", "-q", "--format", "json", "--max-scan-age", "1d"]);
    assert_eq!(output.status.code(), Some(1));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["first_broken_tags"], "team/app:1.0");
}

#[test]
fn case_24_schema_1_layers_are_references_with_their_size_from_disk() {
    let mut fixture = Fixture::new();
    let layers = ["old base", "old app"].map(|name| fixture.registry.layer(name, 2_500));
    let image = fixture.registry.schema1("team/old", &layers, "1.0");
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    let kind: String =
        scanned.one("SELECT kind FROM manifests WHERE digest = ?1", [image.digest.to_string()]);
    assert_eq!(kind, "schema1");
    // Two layers and the empty one, which the manifest names twice.
    let (layer_count, logical_bytes): (i64, i64) = scanned
        .database
        .query_row(
            "SELECT layer_count, logical_bytes FROM tags WHERE repository = 'team/old'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(layer_count, 3);
    assert_eq!(logical_bytes, 2 * 2_500 + 32 + image.size as i64);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_25_old_signatures_are_kept_with_their_revision() {
    let mut fixture = Fixture::new();
    let layers = [fixture.registry.layer("old base", 2_500)];
    let image = fixture.registry.schema1("team/old", &layers, "1.0");
    let signature = fixture.registry.blob("{\"payload\":\"signed\"}");
    let path = format!(
        "{}/signatures/sha256/{}/link",
        paths::revision_link("team/old", &image.digest).strip_suffix("/link").unwrap(),
        signature.digest.encoded()
    );
    fixture.overwrite(path, &signature.digest.to_string());
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_26_every_digest_in_an_unknown_manifest_is_a_reference() {
    let mut fixture = Fixture::new();
    let blobs = ["one", "two", "three"].map(|name| fixture.registry.layer(name, 300));
    for blob in &blobs {
        fixture.registry.link_layer("team/art", &blob.digest);
    }
    let known_later = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json",
            "blobs":[{{"digest":"{}","size":300}}],
            "vendor":{{"deep":[{{"digest":"{}"}}]}}}}"#,
        blobs[0].digest, blobs[1].digest
    );
    let vendor = format!(
        r#"{{"schemaVersion":7,"mediaType":"application/vnd.example.bundle","parts":{{"digest":"{}"}}}}"#,
        blobs[2].digest
    );
    let manifests = [known_later, vendor].map(|body| fixture.registry.manifest("team/art", body));
    fixture.registry.tag("team/art", "1.0", &manifests[0].digest);
    let scanned = fixture.scan();
    scanned.has_problem(Code::ManifestTypeUnknown, &paths::blob(&manifests[1].digest));
    scanned.revision_is_tagged("team/art", &manifests[0].digest, true);
    scanned.tag_is_whole("team/art", "1.0", &manifests[0].digest);
    scanned.is_held("team/art");
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_26_digests_in_odd_places_of_an_unknown_manifest_are_references() {
    let mut fixture = Fixture::new();
    let blobs = ["key", "twice", "last", "pinned", "escaped", "bare"]
        .map(|name| fixture.registry.layer(name, 300).digest);
    let [key, twice, last, pinned, escaped, bare] = &blobs;
    let body = format!(
        r#"   {{"schemaVersion":7,"mediaType":"application/vnd.example.bundle",
            "parts":{{"{key}":{{}}}},"digest":"{twice}","digest":"{last}",
            "from":"reg.example:5000/team/app@{pinned}",
            "other":"sha256\u003a{}","alg":"sha256","hex":"{}"}}"#,
        escaped.encoded(),
        bare.encoded()
    );
    // Linked in no repository: only the manifest keeps them.
    fixture.registry.manifest("team/art", body);
    let scanned = fixture.scan();
    scanned.is_held("team/art");
    scanned.is_not_held("bystander/app");
    for digest in &blobs {
        let is_orphan: bool =
            scanned.one("SELECT is_orphan FROM blobs WHERE digest = ?1", [digest.to_string()]);
        assert!(!is_orphan, "{digest}");
    }
}

#[test]
fn case_32_a_hidden_manifest_is_found_behind_white_space_and_behind_a_layer_reference() {
    let mut fixture = Fixture::new();
    let layers = ["one", "two"].map(|name| fixture.registry.layer(name, 300));
    let hidden = layers.each_ref().map(|layer| {
        fixture.registry.link_layer("team/app", &layer.digest);
        let spaces = " \n".repeat(3_000);
        let body = format!(
            r#"{spaces}{{"schemaVersion":2,"mediaType":"{}","config":{{"digest":"{}","size":300}},"layers":[]}}"#,
            media_types::OCI_MANIFEST, layer.digest
        );
        fixture.registry.blob(body)
    });
    // An untagged artifact of another repository carries one of them as a layer.
    fixture.registry.image("other/art").oci().layers([&hidden[0]]).push();
    fixture.push("team/app", "1.0");
    fixture.remove("docker/registry/v2/repositories/team/app/_manifests/revisions");
    let scanned = fixture.scan();
    for digest in hidden.iter().map(|manifest| &manifest.digest) {
        let may_be_manifest: bool = scanned.one(
            "SELECT may_be_manifest FROM blob WHERE 'sha256:' || lower(hex(hash)) = ?1",
            [digest.to_string()],
        );
        assert!(may_be_manifest, "{digest}");
    }
}

#[test]
fn case_27_a_manifest_without_a_media_type_is_known_by_its_fields() {
    let mut fixture = Fixture::new();
    let layer = fixture.registry.layer("untyped", 1_000);
    let image = fixture.registry.image("team/app").layers([&layer]).without_media_type().push();
    let index =
        fixture.registry.index("team/app").children([&image]).without_media_type().push_tag("1.0");
    let odd = fixture.registry.manifest("team/odd", r#"{"schemaVersion":2,"annotations":[]}"#);
    fixture.registry.tag("team/odd", "1.0", &odd.digest);
    let scanned = fixture.scan();
    for (digest, kind) in [(&image.digest, "image"), (&index.digest, "index")] {
        let found: String =
            scanned.one("SELECT kind FROM manifests WHERE digest = ?1", [digest.to_string()]);
        assert_eq!(found, kind);
    }
    scanned.revision_is_tagged("team/app", &image.digest, true);
    scanned.revision_is_tagged("team/odd", &odd.digest, true);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_41_a_manifest_over_four_mebibytes_holds_its_repository() {
    assert_held_after(Code::ManifestTooLarge, |fixture, manifest| {
        fixture.registry.put(paths::blob(&manifest.digest), Content::Sparse(4 * 1024 * 1024 + 1));
    });
}

#[test]
fn case_41_a_revision_link_to_a_layer_holds_its_repository() {
    let mut fixture = Fixture::new();
    let (_, layer) = fixture.push_with_layer("team/app", "1.0");
    let large = fixture.registry.layer("large", 5_000_000);
    let unreferenced = fixture.registry.layer("linked and in no manifest", 600);
    fixture.registry.link_layer("team/app", &unreferenced.digest);
    fixture.registry.link_revision("team/app", &layer.digest);
    fixture.registry.link_revision("team/app", &large.digest);
    let scanned = fixture.scan();
    // The layer is not damaged.
    scanned.has_problem(Code::NotAManifest, &paths::blob(&layer.digest));
    scanned.has_problem(Code::ManifestTooLarge, &paths::blob(&large.digest));
    scanned.is_held("team/app");
    scanned.only_garbage_is_orphan();
}
