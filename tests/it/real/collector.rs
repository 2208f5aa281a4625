//! regsql's orphans and untagged revisions beside what `docker-registry garbage-collect` deletes.
//!
//! Debian's 2.8.2 is known to be wrong in three ways, each named by a test: with `-m` it deletes
//! the children of a tagged index, with `-m` it deletes referrers of a tagged image, and with or
//! without it deletes a layer that a manifest names by its sha512.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::Digest;

use super::garbage::{Eligible, collect, dry_run};
use super::known::Known;
use super::layout::{Image, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, descriptor, digest_of, layer};
use super::pushes;
use super::registry::Registry;
use super::snapshot::Snapshot;

type Digests = BTreeSet<String>;

#[test]
fn orphans_and_untagged_of_single_platform_images_are_what_gc_m_deletes() {
    let known = Known::simple();
    assert!(known.kept.is_empty());
    let wrong = compare_with_gc_m(&known);
    assert_eq!(wrong, Digests::new());
}

#[test]
fn gc_m_also_deletes_index_children_and_referrers_which_regsql_keeps() {
    let known = Known::full();
    let wrong = compare_with_gc_m(&known);
    // The children's and referrers' own blobs, none of which regsql calls garbage.
    assert!(wrong.contains(&digest_of(&layer("tool-amd", 2_000))));
    assert!(wrong.contains(&digest_of(&layer("listed", 1_000))));
    assert!(wrong.contains(&digest_of(b"packages")));
    // A platform with a tag of its own is safe even from the collector.
    assert!(!wrong.contains(&digest_of(&layer("tool-arm", 2_000))));
}

/// Returns the blobs that the collector would delete and regsql keeps.
fn compare_with_gc_m(known: &Known) -> Digests {
    let says = dry_run(&known.registry, &["-m"]);
    let snapshot = Snapshot::of(&known.registry.root());
    let (orphans, freed) = (snapshot.orphan_blobs(), snapshot.freed_by_untagged());

    // regsql finds what was made so.
    assert_eq!(orphans, known.orphans);
    assert_eq!(snapshot.untagged(), Known::revisions(&known.untagged));
    let whole = Known::blobs(&known.tagged).union(&Known::blobs(&known.kept)).cloned().collect();
    assert_eq!(freed, &Known::blobs(&known.untagged) - &whole);

    // The collector takes every revision without a tag of its own, whoever names it ...
    let kept = Known::revisions(&known.kept);
    assert_eq!(says.manifests, &snapshot.untagged() | &kept);
    // ... and every blob that no tagged manifest names itself.
    let wrong = &Known::blobs(&known.kept) - &known.named_by_tagged();
    assert_eq!(says.blobs, &(&orphans | &freed) | &wrong);

    // The bytes follow the same sets.
    let current = "(SELECT max(scan_number) FROM scan_history)";
    let figure = |column: &str| {
        let sql = format!("SELECT {column} FROM scan_history WHERE scan_number = {current}");
        snapshot.number(&sql)
    };
    assert_eq!(figure("orphan_bytes"), snapshot.bytes_of(&orphans));
    assert_eq!(figure("untagged_bytes"), snapshot.bytes_of(&freed));
    assert_eq!(figure("orphan_blob_count"), orphans.len() as i64);
    assert_eq!(figure("untagged_revision_count"), known.untagged.len() as i64);
    &says.blobs - &(&orphans | &freed)
}

#[test]
fn orphan_blobs_are_what_gc_deletes() {
    let known = Known::full();
    let says = dry_run(&known.registry, &[]);
    let snapshot = Snapshot::of(&known.registry.root());
    assert_eq!(says, Eligible { manifests: BTreeSet::new(), blobs: snapshot.orphan_blobs() });
    assert_eq!(says.blobs, known.orphans);
}

#[test]
fn after_gc_the_links_to_its_blobs_dangle_and_every_tag_still_pulls() {
    let mut known = Known::full();
    let before = Snapshot::of(&known.registry.root());
    known.registry.stop();
    let deleted = collect(&known.registry, &[]).blobs;
    assert_eq!(deleted, before.orphan_blobs());

    let after = Snapshot::of(&known.registry.root());
    assert_eq!(after.orphan_blobs(), Digests::new());
    // 2.8.2 leaves the layer links of what it deletes; manifests never had one.
    let links = "SELECT repository, link_digest FROM layer_links";
    let is_deleted = |(_, digest): &(String, String)| deleted.contains(digest);
    let expected: BTreeSet<_> = before.pairs(links).into_iter().filter(is_deleted).collect();
    assert!(expected.len() > 3, "{expected:?}");
    assert_eq!(after.pairs(&format!("{links} WHERE is_dangling")), expected);
    assert_eq!(after.pairs(links), before.pairs(links));
    let what = "SELECT * FROM (SELECT repository || ':' || tag, manifest_digest || ' ' || is_broken \
                || ' ' || logical_bytes || ' ' || exclusive_bytes FROM tags)";
    assert_eq!(after.pairs(what), before.pairs(what), "tags are as before");
    assert_eq!(after.untagged(), before.untagged());

    known.registry.serve();
    for (repository, tag) in &known.pullable {
        super::skopeo::pull(&known.registry, repository, tag);
    }
}

#[test]
fn a_tag_whose_index_lost_its_children_to_gc_m_is_broken() {
    let mut known = Known::full();
    known.registry.stop();
    collect(&known.registry, &["-m"]);
    let snapshot = Snapshot::of(&known.registry.root());
    let broken = snapshot.pairs("SELECT repository, tag FROM tags WHERE is_broken");
    let (signed, image) = known.tagged.iter().find(|(name, _)| *name == "signed/app").unwrap();
    let fallback = image.digest().replace(':', "-");
    let expected = [("legacy/list", "1"), (signed, &fallback), ("tools/multi", "3.0")];
    assert_eq!(broken, expected.map(|(name, tag)| (name.to_owned(), tag.to_owned())).into());
}

#[test]
fn a_layer_named_by_its_sha512_is_kept_though_gc_deletes_it() {
    let registry = Registry::start();
    let name = "sha512/app";
    let bytes = layer("named by sha512", 3_000);
    let long = format!("sha512:{}", hex(&sha2::Sha512::digest(&bytes)));
    registry.put_blob_as(name, &bytes, &long);
    let mut image = Image::of(&[&bytes]);
    let mut entry = descriptor(OCI_LAYER, &bytes);
    entry["digest"] = long.clone().into();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &image.blobs[0]),
        "layers": [entry],
    });
    image.manifest = manifest.to_string().into_bytes();
    image.blobs.truncate(1);
    pushes::put(&registry, name, "1", &image);
    let head = registry.ask("HEAD", &format!("/v2/{name}/blobs/{long}"));
    assert_eq!(head.must_have("Content-Length"), bytes.len().to_string());

    let says = dry_run(&registry, &[]);
    assert_eq!(says.blobs, Digests::from([digest_of(&bytes)]), "2.8.2 compares names literally");
    let snapshot = Snapshot::of(&registry.root());
    assert_eq!(snapshot.orphan_blobs(), Digests::new());
    let total = (image.manifest.len() + image.blobs[0].len() + bytes.len()) as i64;
    let tags = snapshot.rows("SELECT logical_bytes, exclusive_bytes, is_broken FROM tags", |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
    });
    assert_eq!(tags, [(total, total, false)]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
