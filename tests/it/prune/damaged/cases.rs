//! The damages, numbered as the cases of a scan are.

use std::fs;

use regsql::model::Digest;
use regsql::sample::{Content, Descriptor, paths};

use super::{
    Case, Hold, UPLOAD, below, child, layer, manifest, no_damage, nothing, prune_all, remove,
    revision, symlink_away, target,
};

#[test]
fn no_damage_to_a_link_costs_an_image() {
    prune_all(&cases! {
        "01 a revision link is empty": nothing, |root| {
            fs::write(revision(root, "1.0"), "").unwrap();
        }, Nothing;
        "01 the revision link of an index's child is empty": nothing, |root| {
            fs::write(root.join(paths::revision_link("team/app", &child(root))), "").unwrap();
        }, Nothing;
        "02 a tag's link is empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "1.0")), "").unwrap();
        }, Nothing;
        "02 the link of an index's tag is empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "multi")), "").unwrap();
        }, Nothing;
        "02 a tag's link and all it remembers are empty": nothing, |root| {
            fs::write(root.join(paths::tag_current("team/app", "1.0")), "").unwrap();
            remove(&root.join(paths::tag("team/app", "1.0")).join("index"));
        }, Manifests;
        "02 a tag's `current` is a file": nothing, |root| {
            let current = root.join(paths::tag("team/app", "1.0")).join("current");
            remove(&current);
            fs::write(current, "").unwrap();
        }, Nothing;
        "03 a layer link is empty": nothing, |root| {
            fs::write(root.join(paths::layer_link("team/app", &layer(root))), "").unwrap();
        }, Nothing;
        "04 white space in links": nothing, |root| {
            for path in [revision(root, "1.0"), root.join(paths::tag_current("team/app", "2.0"))] {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, format!("{text}\r\n")).unwrap();
            }
        }, Nothing;
        "04 a digest is cut short": nothing, |root| {
            fs::write(revision(root, "1.0"), "sha256:abc").unwrap();
        }, Nothing;
        "05 a revision link holds another digest": nothing, |root| {
            let other = target(root, "2.0").to_string();
            fs::write(revision(root, "1.0"), other).unwrap();
            remove(revision(root, "2.0").parent().unwrap());
        }, Nothing;
        "05 a layer link holds another digest": nothing, |root| {
            let link = root.join(paths::layer_link("team/app", &layer(root)));
            fs::write(link, Digest::of(b"other").to_string()).unwrap();
        }, Nothing;
        "06 temporary files": nothing, |root| {
            let link = revision(root, "1.0");
            fs::write(link.with_file_name("link.0b8a1c62.tmp"), "sha256:").unwrap();
            let data = manifest(root, "1.0");
            fs::write(data.with_file_name("data.0b8a1c62.tmp"), "{").unwrap();
        }, Nothing;
        "09 a tag without its revision": nothing, |root| {
            remove(revision(root, "1.0").parent().unwrap());
        }, Nothing;
        "09 an index's child without its revision": nothing, |root| {
            remove(root.join(paths::revision_link("team/app", &child(root))).parent().unwrap());
        }, Nothing;
        "10 half tags": |registry| {
            let image = registry.image("team/app").push_tag("half");
            registry.tag("team/app", "3.0", &image.digest);
            let current = format!("{}/current", paths::tag("team/app", "half"));
            assert!(registry.tree.remove(&current));
            registry.put(paths::tag("team/app", "empty"), Content::Directory);
        }, no_damage, Nothing;
        "11 stray files among tags": nothing, |root| {
            fs::write(below(root, "_manifests/tags/.DS_Store"), "x").unwrap();
            fs::write(below(root, "_manifests/tags/.nfs000000000012f3a400000001"), "x").unwrap();
        }, Nothing;
        "29 tarsum links": |registry| {
            let layer = registry.layer("old", 1_500);
            let hex = Digest::of(b"tarsum").encoded();
            let path = paths::repository("team/app");
            let path = format!("{path}/_layers/tarsum/v1/sha256/{hex}/link");
            registry.put(path, Content::Bytes(layer.digest.to_string().into()));
            registry.image("team/app").layers([&layer]).push_tag("tarsum");
        }, no_damage, Nothing;
        "35 a dangling link": |registry| {
            registry.link_layer("team/app", &Digest::of(b"collected long ago"));
        }, no_damage, Nothing;
        "36 empty directories": nothing, |root| {
            let gone = Digest::of(b"gone").encoded();
            for part in ["_manifests/revisions/sha256", "_layers/sha256"] {
                fs::create_dir_all(below(root, part).join(&gone)).unwrap();
            }
        }, Nothing;
    });
}

#[test]
fn no_damage_to_a_manifest_or_blob_costs_an_image() {
    prune_all(&cases! {
        "07 a manifest is missing": nothing, |root| {
            remove(manifest(root, "1.0").parent().unwrap());
        }, Nothing;
        "07 an index is missing": nothing, |root| {
            remove(manifest(root, "multi").parent().unwrap());
        }, Nothing;
        "07 an index's child is missing": nothing, |root| {
            remove(root.join(paths::blob_directory(&child(root))).as_path());
        }, Nothing;
        "08 a manifest is empty": nothing, |root| {
            fs::write(manifest(root, "1.0"), "").unwrap();
        }, Nothing;
        "08 an index is cut short": nothing, |root| {
            fs::write(manifest(root, "multi"), "{\"schemaVersion\":2,\"manifests\":[").unwrap();
        }, Nothing;
        "08 a child is two documents": nothing, |root| {
            let path = root.join(paths::blob(&child(root)));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, [text.clone(), text].concat()).unwrap();
        }, Nothing;
        "12 foreign names among blobs": nothing, |root| {
            for path in ["ab/data", "ab/abcd/data", "a/data"] {
                let path = root.join(paths::V2).join("blobs/sha256").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
        }, Nothing;
        "13 a copied folder": nothing, |root| {
            let path = root.join(paths::V2).join("blobs/sha256 (copy)/aa/data");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }, Nothing;
        "14 something else in blobs' directories": nothing, |root| {
            fs::create_dir_all(root.join(paths::blob(&Digest::of(b"nested"))).join("inner")).unwrap();
            fs::create_dir_all(root.join(paths::blob_directory(&Digest::of(b"empty")))).unwrap();
            fs::write(manifest(root, "1.0").with_file_name(".nfs0000deadbeef"), "x").unwrap();
        }, Nothing;
        "15 a layer is cut short": nothing, |root| {
            fs::write(root.join(paths::blob(&layer(root))), "cut").unwrap();
        }, Nothing;
        "15 the empty blob is a layer": |registry| {
            let empty = registry.blob("");
            registry.image("team/app").layers([&empty]).push_tag("empty");
        }, no_damage, Nothing;
        "16 a layer holds other bytes": nothing, |root| {
            fs::write(root.join(paths::blob(&layer(root))), vec![b'x'; 2_000]).unwrap();
        }, Nothing;
        "41 a manifest over four mebibytes": nothing, |root| {
            fs::File::create(manifest(root, "1.0")).unwrap().set_len(4 << 20 | 1).unwrap();
        }, Nothing;
        "41 a revision link to a layer": nothing, |root| {
            let path = root.join(paths::revision_link("team/app", &layer(root)));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, layer(root).to_string()).unwrap();
        }, Nothing;
    });
}

#[test]
fn no_unusual_image_is_lost() {
    prune_all(&cases! {
        "18 a sparse index beside a whole one": |registry| {
            for (sparse, whole) in [("a/sparse", "b/whole"), ("d/sparse", "c/whole")] {
                let layer = registry.layer(whole, 1_300);
                let child = registry.image(whole).oci().layers([&layer]).push();
                let index = registry.index(whole).children([&child]).push_tag("1.0");
                registry.link_revision(sparse, &index.digest);
                registry.tag(sparse, "1.0", &index.digest);
            }
        }, no_damage, Nothing;
        "19 untagged here, tagged there": |registry| {
            for (here, there) in [("a/one", "b/two"), ("d/one", "c/two")] {
                let layer = registry.layer(there, 1_300);
                registry.image(here).layers([&layer]).push();
                registry.image(there).layers([&layer]).push_tag("1.0");
            }
        }, no_damage, Nothing;
        "20 a deep nest of indexes": |registry| {
            let layer = registry.layer("bottom", 1_300);
            let mut top = registry.image("team/deep").oci().layers([&layer]).push();
            for _ in 0..100 {
                top = registry.index("team/deep").children([&top]).push();
            }
            registry.tag("team/deep", "deep", &top.digest);
        }, no_damage, Nothing;
        "21 a build cache": |registry| {
            let layers = ["one", "two"].map(|name| registry.layer(name, 1_400));
            registry.buildkit_cache("ci/cache", &layers, "main");
        }, no_damage, Nothing;
        "22 foreign layers and platforms left out": |registry| {
            let base = registry.layer("windows", 1_400);
            let foreign = Descriptor::foreign_layer("windows-base", 1_700_000);
            let image = registry.image("team/windows").layers([&foreign, &base]).push_tag("1.0");
            let absent = Descriptor::new(Digest::of(b"never mirrored"), 528);
            registry.index("team/windows").children([&image, &absent]).push_tag("multi");
        }, no_damage, Nothing;
        "24 and 25 schema 1 with signatures": |registry| {
            let layers = ["old base", "old app"].map(|name| registry.layer(name, 1_600));
            let image = registry.schema1("team/old", &layers, "1.0");
            let signature = registry.blob("{\"payload\":\"signed\"}");
            let link = paths::revision_link("team/old", &image.digest);
            let path = link.replace("/link", "/signatures/sha256/");
            let path = format!("{path}{}/link", signature.digest.encoded());
            registry.put(path, Content::Bytes(signature.digest.to_string().into()));
        }, no_damage, Nothing;
        "26 an unknown manifest": |registry| {
            let blob = registry.layer("art", 1_700);
            registry.link_layer("team/art", &blob.digest);
            let body = format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[{{"digest":"{}","size":1700}}]}}"#,
                blob.digest
            );
            let manifest = registry.manifest("team/art", body);
            registry.tag("team/art", "1.0", &manifest.digest);
        }, no_damage, Nothing;
        "27 no media type": |registry| {
            let layer = registry.layer("untyped", 1_800);
            let image = registry.image("team/untyped").layers([&layer]).without_media_type().push();
            registry.index("team/untyped").children([&image]).without_media_type().push_tag("1.0");
        }, no_damage, Nothing;
        "28 a layer named by sha512": |registry| {
            let layer = registry.layer("named by sha512", 1_900);
            let alias = registry.sha512_alias("team/long", &layer);
            registry.image("team/long").oci().layers([&alias]).push_tag("1.0");
        }, no_damage, Nothing;
        "40 referrers and signatures": |registry| {
            let layer = registry.layer("signed", 1_200);
            let image = registry.image("team/signed").oci().layers([&layer]).push_tag("1.0");
            let bill = registry.referrer("team/signed", &image, "application/spdx+json", "{}");
            registry.referrer("team/signed", &bill, "application/example.seal", "sealed");
            registry.cosign_signature("team/signed", &image);
        }, no_damage, Nothing;
    });
}

// Case 23, a pull-through cache, is refused as a whole: prune_online::modes.
#[test]
fn no_damage_to_a_repository_or_storage_costs_an_image() {
    prune_all(&cases! {
        "30 a failed push": |registry| {
            let layer = registry.layer("came before the push failed", 1_100);
            registry.link_layer("team/failed", &layer.digest);
        }, no_damage, Nothing;
        "31 no layer links": nothing, |root| remove(&below(root, "_layers")), Nothing;
        "32 no revisions": nothing, |root| remove(&below(root, "_manifests/revisions")), Manifests;
        "33 names that the registry refuses": |registry| {
            for name in ["Bad_Repo", "lost+found"] {
                let layer = registry.layer(name, 1_100);
                registry.image(name).layers([&layer]).push_tag("1.0");
            }
        }, no_damage, Nothing;
        "33 a repository moved aside": nothing, |root| {
            let from = root.join(paths::repository("team/app"));
            fs::rename(from, root.join(paths::repository("_app"))).unwrap();
            fs::remove_dir(root.join(paths::repository("team"))).unwrap();
        }, Nothing;
        "34 nested names": |registry| {
            for name in ["a", "a/b", "a/b/c"] {
                let layer = registry.layer(name, 1_100);
                registry.image(name).layers([&layer]).push_tag("1.0");
                registry.image(name).layers([&layer]).label("un", "tagged").push();
            }
        }, no_damage, Nothing;
        "37 uploads without a start": |registry| {
            registry.upload("team/app", "not-a-uuid", 10, "yesterday");
        }, no_damage, Nothing;
        "38 a repository behind a symbolic link": nothing, |root| {
            symlink_away(&root.join(paths::repository("team/app")));
        }, Storage;
        "38 layer links behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_layers"));
        }, Storage;
        "38 manifests behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests"));
        }, Manifests;
        "38 revisions behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/revisions"));
        }, Manifests;
        "38 tags behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/tags"));
        }, Manifests;
        "38 a tag behind a symbolic link": nothing, |root| {
            symlink_away(&below(root, "_manifests/tags/1.0"));
        }, Manifests;
        "38 a manifest behind a symbolic link": nothing, |root| {
            symlink_away(manifest(root, "multi").parent().unwrap());
        }, Nothing;
        "38 a shard of blobs behind a symbolic link": nothing, |root| {
            let directory = root.join(paths::blob_directory(&child(root)));
            symlink_away(directory.parent().unwrap());
        }, Nothing;
        "38 uploads behind a symbolic link": |registry| {
            registry.upload("team/app", UPLOAD, 10, "2026-01-02T03:04:05Z");
        }, |root| symlink_away(&below(root, "_uploads")), Nothing;
        "39 a file named like a repository": nothing, |root| {
            fs::write(root.join(paths::repository("empty")), "").unwrap();
            fs::create_dir_all(root.join(paths::V2).join("blobs/04")).unwrap();
        }, Nothing;
        "42 odd tags": |registry| {
            let image = registry.image("team/app").push_tag("_x");
            for name in ["a".repeat(128).as_str(), "Latest", "latest", "x\ny", "back\\slash"] {
                registry.tag("team/app", name, &image.digest);
            }
            let layer = registry.layer("odd", 1_100);
            for name in ["new\nline", "back\\slash", "quote'"] {
                registry.image(name).layers([&layer]).push_tag("1.0");
                registry.image(name).layers([&layer]).label("un", "tagged").push();
            }
        }, no_damage, Nothing;
    });
}
