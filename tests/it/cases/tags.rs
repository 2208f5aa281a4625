//! Tags that point nowhere, or at something that is not linked.

use regsql::model::Code;
use regsql::sample::{Content, paths};

use super::fixture::{Fixture, directory_of, revisions};

#[test]
fn case_02_a_tag_whose_link_is_empty_keeps_all_it_remembers() {
    let mut fixture = Fixture::new();
    let old = fixture.push("team/app", "1.0");
    let new = fixture.push_untagged("team/app", "new");
    fixture.registry.tag("team/app", "1.0", &new.digest);
    // Only the tag's memory is left to keep the old image.
    fixture.remove(&paths::revision_link("team/app", &old.digest));
    let current = paths::tag_current("team/app", "1.0");
    fixture.overwrite(&current, "");
    let scanned = fixture.scan();
    scanned.has_problem(Code::TagLinkUnreadable, &current);
    scanned.tag_is_broken("team/app", "1.0", None);
    let kept: bool = scanned.one(
        "SELECT is_tagged OR is_held FROM revisions WHERE manifest_digest = ?1",
        [new.digest.to_string()],
    );
    assert!(kept, "the newest image must not be called untagged");
    let remembered = scanned.column::<String>(
        "SELECT manifest_digest FROM tag_history WHERE repository = 'team/app' AND tag = '1.0'",
        [],
    );
    assert_eq!(remembered, [old.digest.to_string(), new.digest.to_string()].into());
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_09_a_tag_without_a_revision_keeps_its_image() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    fixture.push("team/app", "2.0");
    fixture.remove(&paths::revision_link("team/app", &image.digest));
    let scanned = fixture.scan();
    scanned.has_problem(Code::TagWithoutRevision, &paths::tag_current("team/app", "1.0"));
    scanned.tag_is_broken("team/app", "1.0", Some(&image.digest));
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_10_a_half_tag_is_no_reference() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    fixture.remove(&format!("{}/current", paths::tag("team/app", "1.0")));
    let empty = paths::tag("team/app", "empty");
    fixture.registry.put(&empty, Content::Directory);
    let scanned = fixture.scan();
    for tag in ["1.0", "empty"] {
        scanned.has_problem(Code::HalfTag, &paths::tag("team/app", tag));
        scanned.tag_is_broken("team/app", tag, None);
    }
    scanned.revision_is_tagged("team/app", &image.digest, false);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_11_stray_files_among_tags_are_told_and_ignored() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let tags = format!("{}/_manifests/tags", paths::repository("team/app"));
    let strays = [".DS_Store", ".nfs000000000012f3a400000001"].map(|name| format!("{tags}/{name}"));
    for stray in &strays {
        fixture.overwrite(stray, "x");
    }
    let scanned = fixture.scan();
    for stray in &strays {
        scanned.has_problem(Code::Clutter, stray);
    }
    let count: i64 =
        scanned.one("SELECT tag_count FROM repositories WHERE repository = 'team/app'", []);
    assert_eq!(count, 1);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_32_tags_without_revisions_hold_the_repository() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    // Was an untagged revision before its link went: only the layer links remember it.
    let (lost, layer) = fixture.push_with_layer("team/app", "lost");
    fixture.registry.untag("team/app", "lost");
    fixture.remove(&revisions("team/app"));
    let scanned = fixture.scan();
    scanned.has_problem(Code::RevisionsDirectoryMissing, &revisions("team/app"));
    scanned.has_problem(Code::TagWithoutRevision, &paths::tag_current("team/app", "1.0"));
    scanned.tag_is_broken("team/app", "1.0", Some(&image.digest));
    scanned.is_held("team/app");
    let orphans = scanned.orphans();
    assert!(!orphans.contains(&layer.digest.to_string()), "{}", lost.digest);
}

#[test]
fn case_02_a_tag_whose_current_is_no_directory_keeps_all_it_remembers() {
    for is_link in [true, false] {
        let mut fixture = Fixture::new();
        let image = fixture.push("team/app", "1.0");
        let on_disk = fixture.write();
        let current = on_disk.path(&paths::tag("team/app", "1.0")).join("current");
        std::fs::remove_dir_all(&current).unwrap();
        if is_link {
            std::os::unix::fs::symlink("/mnt/gone/current", &current).unwrap();
        } else {
            std::fs::write(&current, "").unwrap();
        }
        let scanned = on_disk.scan();
        assert!(!scanned.is_complete(), "link: {is_link}: what it points at is not known");
        if is_link {
            let sql = "SELECT is_broken IS NULL FROM tags WHERE repository = 'team/app'";
            assert!(scanned.one::<bool>(sql, []), "the registry follows the link");
        } else {
            scanned.tag_is_broken("team/app", "1.0", None);
        }
        let held = "SELECT is_tagged OR is_held FROM revisions WHERE manifest_digest = ?1";
        assert!(scanned.one::<bool>(held, [image.digest.to_string()]), "link: {is_link}");
        scanned.only_garbage_is_orphan();
    }
}

#[test]
fn case_02_a_half_written_entry_of_an_unreadable_tag_is_kept() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let next = fixture.push("team/app", "next");
    fixture.registry.untag("team/app", "next");
    fixture.registry.tag("team/app", "1.0", &next.digest);
    fixture.remove(&paths::revision_link("team/app", &next.digest));
    fixture.remove(&paths::tag_index("team/app", "1.0", &next.digest));
    fixture
        .registry
        .put(directory_of(&paths::tag_index("team/app", "1.0", &next.digest)), Content::Directory);
    fixture.overwrite(paths::tag_current("team/app", "1.0"), "");
    fixture.scan().only_garbage_is_orphan();
}
