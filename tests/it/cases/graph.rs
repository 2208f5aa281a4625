//! Who reaches whom: indexes, sharing between repositories, aliases, referrers.

use std::collections::BTreeSet;

use regsql::model::{Code, Digest};
use regsql::sample::{Descriptor, media_types, paths};

use super::fixture::Fixture;

#[test]
fn case_17_untagged_children_of_a_tagged_index_are_tagged() {
    for is_docker in [true, false] {
        let mut fixture = Fixture::new();
        let children = ["amd64", "arm64"].map(|name| fixture.push_untagged("team/app", name));
        let attestation = fixture.registry.attestation("team/app", &children[0]);
        let mut index =
            fixture.registry.index("team/app").children(&children).children([&attestation]);
        if is_docker {
            index = index.docker();
        }
        let index = index.push_tag("1.0");
        let scanned = fixture.scan();
        for manifest in children.iter().chain([&attestation, &index]) {
            scanned.revision_is_tagged("team/app", &manifest.digest, true);
        }
        scanned.has_only(&[]);
        scanned.only_garbage_is_orphan();
    }
}

#[test]
fn case_18_a_sparse_index_does_not_hide_the_child_from_a_whole_one() {
    // Names in both orders, since what is walked first must not matter.
    for (sparse, whole) in [("a/sparse", "b/whole"), ("b/sparse", "a/whole")] {
        let mut fixture = Fixture::new();
        let (child, layer) = fixture.push_with_layer(whole, "amd64");
        fixture.registry.untag(whole, "amd64");
        let index = fixture.registry.index(whole).children([&child]).push_tag("1.0");
        fixture.registry.link_revision(sparse, &index.digest);
        fixture.registry.tag(sparse, "1.0", &index.digest);
        let scanned = fixture.scan();
        scanned.revision_is_tagged(whole, &child.digest, true);
        scanned.tag_is_whole(whole, "1.0", &index.digest);
        let is_needed: bool = scanned.one(
            "SELECT is_needed FROM layer_links WHERE repository = ?1 AND blob_digest = ?2",
            [whole, &layer.digest.to_string()],
        );
        assert!(is_needed);
        scanned.only_garbage_is_orphan();
    }
}

#[test]
fn case_19_untagged_here_and_tagged_there_is_judged_for_each_repository() {
    for (untagged, tagged) in [("a/one", "b/two"), ("b/one", "a/two")] {
        let mut fixture = Fixture::new();
        let (image, layer) = fixture.push_with_layer(tagged, "1.0");
        let base = fixture.registry.layer("base", 5_000);
        let again = fixture
            .registry
            .image(untagged)
            .layers([&base, &layer])
            .created_by(["ADD rootfs.tar /", "COPY . /app"])
            .push();
        assert_eq!(image.digest, again.digest);
        let scanned = fixture.scan();
        scanned.revision_is_tagged(tagged, &image.digest, true);
        scanned.revision_is_tagged(untagged, &image.digest, false);
        // Nothing comes free: the other repository needs all of it.
        let untagged_bytes: i64 = scanned
            .one("SELECT untagged_bytes FROM repositories WHERE repository = ?1", [untagged]);
        assert_eq!(untagged_bytes, 0);
        // The revision is there, so its links are needed there.
        let is_needed: bool = scanned.one(
            "SELECT is_needed FROM layer_links WHERE repository = ?1 AND blob_digest = ?2",
            [untagged, &layer.digest.to_string()],
        );
        assert!(is_needed);
        scanned.only_garbage_is_orphan();
    }
}

#[test]
fn case_20_indexes_may_nest_a_thousand_deep() {
    let mut fixture = Fixture::new();
    let image = fixture.push_untagged("team/app", "bottom");
    let mut top = image.clone();
    for _ in 0..1_000 {
        top = fixture.registry.index("team/app").children([&top]).push();
    }
    fixture.registry.tag("team/app", "deep", &top.digest);
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.revision_is_tagged("team/app", &image.digest, true);
    let layers: i64 = scanned.one("SELECT layer_count FROM tags WHERE tag = 'deep'", []);
    assert_eq!(layers, 2);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_28_a_layer_named_by_sha512_is_found_through_its_alias() {
    let mut fixture = Fixture::new();
    let layer = fixture.registry.layer("named by sha512", 1_500);
    let alias = fixture.registry.sha512_alias("team/app", &layer);
    let image = fixture.registry.image("team/app").oci().layers([&alias]).push_tag("1.0");
    // The registry links the upload by its sha256 digest too; the alias alone must do.
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    let links = scanned.column::<String>(
        "SELECT blob_digest FROM layer_links WHERE link_digest = ?1",
        [alias.digest.to_string()],
    );
    assert_eq!(links, [layer.digest.to_string()].into());
    let logical_bytes: i64 =
        scanned.one("SELECT logical_bytes FROM tags WHERE repository = 'team/app'", []);
    assert!(logical_bytes >= 1_500 + image.size as i64);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_28_a_second_name_of_a_layer_that_an_image_needs_is_needed() {
    let mut fixture = Fixture::new();
    let (_, layer) = fixture.push_with_layer("team/app", "1.0");
    fixture.registry.sha512_alias("team/app", &layer);
    let scanned = fixture.scan();
    let count: i64 = scanned
        .one("SELECT count(*) FROM layer_links WHERE repository = 'team/app' AND is_needed", []);
    assert_eq!(count, 4, "its config, two layers and the second name of one");
    let plan = scanned.run(&["prune", "unneeded-links", "--min-age", "0s", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["items"], serde_json::json!([]));
}

#[test]
fn case_29_tarsum_links_are_aliases_at_any_depth() {
    let mut fixture = Fixture::new();
    let layer = fixture.registry.layer("old", 1_500);
    fixture.registry.image("team/app").layers([&layer]).push_tag("1.0");
    let hex = Digest::of(b"tarsum").encoded();
    for version in ["v1", "dev"] {
        let path =
            format!("{}/_layers/tarsum/{version}/sha256/{hex}/link", paths::repository("team/app"));
        fixture.overwrite(path, &layer.digest.to_string());
    }
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    let names = scanned.column::<String>(
        "SELECT link_digest FROM layer_links WHERE blob_digest = ?1 AND link_digest LIKE 'tarsum%'",
        [layer.digest.to_string()],
    );
    let expected: BTreeSet<String> =
        ["v1", "dev"].map(|version| format!("tarsum.{version}+sha256:{hex}")).into();
    assert_eq!(names, expected);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_40_a_referrer_is_kept_with_its_subject() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let bill =
        fixture.registry.referrer("team/app", &image, "application/spdx+json", "{\"spdx\":1}");
    // A signature of the bill of materials: a referrer of a referrer.
    let seal = fixture.registry.referrer("team/app", &bill, "application/example.seal", "sealed");
    let untagged = fixture.push_untagged("team/app", "nightly");
    let loose =
        fixture.registry.referrer("team/app", &untagged, "application/spdx+json", "{\"spdx\":2}");
    let signature = fixture.registry.cosign_signature("team/app", &image);
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    for (manifest, is_tagged) in
        [(&bill, true), (&seal, true), (&signature, true), (&untagged, false), (&loose, false)]
    {
        scanned.revision_is_tagged("team/app", &manifest.digest, is_tagged);
    }
    let subject: String = scanned
        .one("SELECT subject_digest FROM manifests WHERE digest = ?1", [bill.digest.to_string()]);
    assert_eq!(subject, image.digest.to_string());
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_40_a_referrer_whose_subject_is_gone_is_told() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let gone = Descriptor::new(Digest::of(b"deleted"), 500).of_type(media_types::OCI_MANIFEST);
    let bill =
        fixture.registry.referrer("team/app", &gone, "application/spdx+json", "{\"spdx\":3}");
    let scanned = fixture.scan();
    scanned.has_only(&[Code::OrphanReferrer]);
    scanned.revision_is_tagged("team/app", &bill.digest, false);
    scanned.is_not_held("team/app");
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_22_a_child_that_is_there_and_cannot_be_read_is_not_a_platform_left_out() {
    let damages: [fn(&std::path::Path); 4] = [
        |data| {
            std::fs::remove_file(data).unwrap();
            std::os::unix::fs::symlink("/mnt/gone/data", data).unwrap();
        },
        |data| {
            std::fs::remove_file(data).unwrap();
            std::fs::create_dir(data).unwrap();
        },
        |data| std::fs::remove_file(data).unwrap(),
        |data| {
            let shard = data.parent().unwrap().parent().unwrap();
            std::fs::remove_dir_all(shard).unwrap();
            std::os::unix::fs::symlink("/mnt/gone/shard", shard).unwrap();
        },
    ];
    for damage in damages {
        let mut fixture = Fixture::new();
        let child = fixture.push_untagged("team/app", "child");
        fixture.registry.index("team/app").children([&child]).push_tags(["1.0"]);
        fixture.remove(&paths::revision_link("team/app", &child.digest));
        let on_disk = fixture.write();
        damage(&on_disk.path(&paths::blob(&child.digest)));
        let scanned = on_disk.scan();
        scanned.is_held("team/app");
        scanned.only_garbage_is_orphan();
    }
}
