//! Links that are empty, cut short, wrong or half written.

use regsql::model::{Code, Digest};
use regsql::sample::paths;

use super::fixture::{Fixture, directory_of};

#[test]
fn case_01_an_empty_revision_link_counts_by_its_directory() {
    let mut fixture = Fixture::new();
    let tagged = fixture.push("team/app", "1.0");
    let untagged = fixture.push_untagged("team/app", "nightly");
    let links = [&tagged, &untagged].map(|image| paths::revision_link("team/app", &image.digest));
    for link in &links {
        fixture.overwrite(link, "");
    }
    let scanned = fixture.scan();
    for link in &links {
        scanned.has_problem(Code::RevisionLinkUnreadable, link);
    }
    scanned.revision_is_tagged("team/app", &tagged.digest, true);
    scanned.revision_is_tagged("team/app", &untagged.digest, false);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_03_an_empty_layer_link_neither_keeps_nor_frees() {
    let mut fixture = Fixture::new();
    let (_, needed) = fixture.push_with_layer("team/app", "1.0");
    let unneeded = fixture.registry.layer("left by a failed push", 900);
    let links = [&needed, &unneeded].map(|layer| paths::layer_link("team/app", &layer.digest));
    for link in &links {
        fixture.overwrite(link, "");
    }
    let scanned = fixture.scan();
    for link in &links {
        scanned.has_problem(Code::LayerLinkUnreadable, link);
    }
    scanned.is_not_held("team/app");
    let orphans = scanned.orphans();
    assert!(!orphans.contains(&needed.digest.to_string()));
}

#[test]
fn case_04_white_space_around_a_digest_is_trimmed() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let untagged = fixture.push_untagged("team/app", "nightly");
    let revision = paths::revision_link("team/app", &untagged.digest);
    let tag = paths::tag_current("team/app", "1.0");
    fixture.overwrite(&revision, &format!("{}\n", untagged.digest));
    fixture.overwrite(&tag, &format!("{}\r\n", image.digest));
    let scanned = fixture.scan();
    scanned.has_problem(Code::LinkWhitespace, &revision);
    scanned.has_problem(Code::LinkWhitespace, &tag);
    scanned.has_only(&[Code::LinkWhitespace]);
    scanned.revision_is_tagged("team/app", &image.digest, true);
    scanned.revision_is_tagged("team/app", &untagged.digest, false);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_04_a_digest_cut_short_is_no_digest() {
    let mut fixture = Fixture::new();
    let image = fixture.push_untagged("team/app", "nightly");
    let link = paths::revision_link("team/app", &image.digest);
    fixture.overwrite(&link, "sha256:abc");
    let scanned = fixture.scan();
    scanned.has_problem(Code::RevisionLinkUnreadable, &link);
    scanned.revision_is_tagged("team/app", &image.digest, false);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_05_a_link_to_another_digest_keeps_both() {
    let mut fixture = Fixture::new();
    let named = fixture.push_untagged("team/app", "named");
    let held = fixture.push_untagged("team/app", "held");
    let link = paths::revision_link("team/app", &named.digest);
    fixture.overwrite(&link, &held.digest.to_string());
    fixture.remove(&paths::revision_link("team/app", &held.digest));
    let scanned = fixture.scan();
    scanned.has_problem(Code::LinkMismatch, &link);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_05_a_layer_link_to_another_digest_keeps_both() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let named = fixture.registry.layer("named", 400);
    let held = fixture.registry.layer("held", 500);
    let link = paths::layer_link("team/app", &named.digest);
    fixture.overwrite(&link, &held.digest.to_string());
    let scanned = fixture.scan();
    scanned.has_problem(Code::LinkMismatch, &link);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_06_files_of_an_interrupted_write_are_temporary() {
    let mut fixture = Fixture::new();
    let (image, layer) = fixture.push_with_layer("team/app", "1.0");
    let uuid = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
    let beside_link = format!(
        "{}/link.{uuid}.tmp",
        directory_of(&paths::revision_link("team/app", &image.digest))
    );
    let beside_layer_link =
        format!("{}/link.{uuid}.tmp", directory_of(&paths::layer_link("team/app", &layer.digest)));
    let beside_data = format!("{}.{uuid}.tmp", paths::blob(&layer.digest));
    // The first write of a blob died: there is no `data` yet.
    let alone = format!("{}.{uuid}.tmp", paths::blob(&Digest::of(b"never came")));
    let all = [&beside_link, &beside_layer_link, &beside_data, &alone];
    for path in all {
        fixture.overwrite(path, "sha256:");
    }
    let scanned = fixture.scan();
    for path in all {
        scanned.has_problem(Code::TemporaryFile, path);
    }
    scanned.has_only(&[Code::TemporaryFile]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_06_a_tag_whose_move_was_interrupted_points_where_it_did() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let uuid = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
    let beside = format!("{}.{uuid}.tmp", paths::tag_current("team/app", "1.0"));
    fixture.overwrite(&beside, &Digest::of(b"the next one").to_string());
    let scanned = fixture.scan();
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
    scanned.has_problem(Code::TemporaryFile, &beside);
}

#[test]
fn case_35_a_layer_link_whose_blob_is_gone_dangles() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let gone = Digest::of(b"collected long ago");
    fixture.registry.link_layer("team/app", &gone);
    let scanned = fixture.scan();
    scanned.has_problem(Code::DanglingLink, &paths::layer_link("team/app", &gone));
    scanned.has_only(&[Code::DanglingLink]);
    let (dangling, needed): (bool, bool) = scanned
        .database
        .query_row(
            "SELECT is_dangling, is_needed FROM layer_links WHERE blob_digest = ?1",
            [gone.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(dangling && !needed);
    scanned.only_garbage_is_orphan();
}

/// What a pull meets at one link, judged by the registry 2.8.2, and the tags that it cannot serve for it.
#[test]
fn case_04_a_link_that_the_registry_cannot_follow_breaks_the_tags_behind_it() {
    let another = Digest::of(b"another").to_string();
    let damages = [
        ("empty", ""),
        ("cut short", "sha256:zz"),
        ("a newline", "DIGEST\n"),
        ("another digest", another.as_str()),
    ];
    for (damage, content) in damages {
        for place in ["tag", "revision", "child", "layer"] {
            let is_tag_on_another = place == "tag" && damage == "another digest";
            if is_tag_on_another {
                continue;
            }
            let mut fixture = Fixture::new();
            let (image, layer) = fixture.push_with_layer("team/app", "1.0");
            let child = fixture.push_untagged("team/app", "child");
            fixture.registry.index("team/app").children([&child]).push_tag("index");
            // The same image elsewhere, with links of its own.
            fixture.push("other/app", "1.0");
            let (link, digest, broken) = match place {
                "tag" => (paths::tag_current("team/app", "1.0"), &image.digest, "1.0"),
                "revision" => {
                    (paths::revision_link("team/app", &image.digest), &image.digest, "1.0")
                }
                "child" => {
                    (paths::revision_link("team/app", &child.digest), &child.digest, "index")
                }
                _ => (paths::layer_link("team/app", &layer.digest), &layer.digest, "1.0"),
            };
            fixture.overwrite(link, &content.replace("DIGEST", &digest.to_string()));
            let scanned = fixture.scan();
            let broken_sql = "SELECT repository || ':' || tag FROM tags WHERE is_broken IS NOT 0";
            let found = scanned.column::<String>(broken_sql, []);
            assert_eq!(found, [format!("team/app:{broken}")].into(), "{damage} {place}");
            let fault_sql = "SELECT count(*) FROM tags WHERE is_broken IS NULL";
            assert_eq!(scanned.one::<i64>(fault_sql, []), 0, "{damage} {place}");
            for arguments in
                [&["report", "broken-images"][..], &["why", &format!("team/app:{broken}")]]
            {
                let output = scanned.run(arguments);
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(
                    text.contains("link") && !text.contains("see problems"),
                    "{damage} {place}: {text}"
                );
            }
            scanned.only_garbage_is_orphan();
        }
    }
}

#[test]
fn case_04_a_link_that_the_registry_may_follow_breaks_nothing_that_is_known() {
    for place in ["tag", "revision", "layer"] {
        let mut fixture = Fixture::new();
        let (image, layer) = fixture.push_with_layer("team/app", "1.0");
        let link = match place {
            "tag" => paths::tag_current("team/app", "1.0"),
            "revision" => paths::revision_link("team/app", &image.digest),
            _ => paths::layer_link("team/app", &layer.digest),
        };
        let on_disk = fixture.write();
        let moved = on_disk.outside("moved");
        std::fs::rename(on_disk.path(&link), &moved).unwrap();
        std::os::unix::fs::symlink(&moved, on_disk.path(&link)).unwrap();
        let scanned = on_disk.scan();
        scanned.has_problem(Code::SymlinkNotFollowed, &link);
        let unknown_sql = "SELECT is_broken IS NULL FROM tags WHERE repository = 'team/app'";
        assert!(scanned.one::<bool>(unknown_sql, []), "{place}");
        scanned.only_garbage_is_orphan();
    }
}
