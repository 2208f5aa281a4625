//! Repositories of which a part is missing or cannot be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use regsql::model::Code;
use regsql::sample::{Content, Descriptor, paths};

use super::fixture::{Fixture, OnDisk, Scanned, layers, revisions};

#[test]
fn case_30_a_repository_that_never_got_a_manifest() {
    let mut fixture = Fixture::new();
    let pushed = fixture.registry.layer("came before the push failed", 2_200);
    fixture.registry.link_layer("team/failed", &pushed.digest);
    let scanned = fixture.scan();
    scanned.has_problem(Code::RepositoryNeverCompleted, &paths::repository("team/failed"));
    scanned.has_only(&[Code::RepositoryNeverCompleted]);
    let is_needed: bool =
        scanned.one("SELECT is_needed FROM layer_links WHERE repository = 'team/failed'", []);
    assert!(!is_needed);
    scanned.orphans_are(&[&pushed.digest]);
}

#[test]
fn case_31_a_repository_without_layer_links_keeps_its_images() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let untagged = fixture.push_untagged("team/app", "nightly");
    fixture.remove(&layers("team/app"));
    let scanned = fixture.scan();
    scanned.has_problem(Code::LayersDirectoryMissing, &layers("team/app"));
    scanned.revision_is_tagged("team/app", &image.digest, true);
    scanned.revision_is_tagged("team/app", &untagged.digest, false);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_33_a_name_that_the_registry_refuses_is_scanned_all_the_same() {
    let mut fixture = Fixture::new();
    for name in ["Bad_Repo", "lost+found"] {
        fixture.push(name, "1.0");
    }
    let scanned = fixture.scan();
    for name in ["Bad_Repo", "lost+found"] {
        scanned.has_problem(Code::RepositoryNameInvalid, &paths::repository(name));
    }
    scanned.has_only(&[Code::RepositoryNameInvalid]);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_33_what_fsck_found_is_a_repository_only_if_a_repositorys_directories_lie_in_it() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/lost+found", "1.0");
    let empty = paths::repository("lost+found");
    fixture.registry.put(&empty, Content::Directory);
    let found = paths::repository("other/lost+found");
    fixture.push("other/app", "1.0");
    fixture.overwrite(format!("{found}/#1234"), "x");
    // Somebody deleted this one on a NAS.
    let deleted = paths::repository("#recycle");
    fixture.overwrite(format!("{deleted}/_manifests/tags/1.0/current/link"), "x");
    let scanned = fixture.scan();
    scanned.tag_is_whole("team/lost+found", "1.0", &image.digest);
    scanned.has_only(&[Code::RepositoryNameInvalid, Code::Clutter]);
    scanned.has_problem(Code::Clutter, &empty);
    scanned.has_problem(Code::Clutter, &deleted);
    let names: String = scanned
        .one("SELECT group_concat(repository, ' ' ORDER BY repository) FROM repositories", []);
    assert_eq!(names, "bystander/app other/app team/lost+found");
    assert!(scanned.is_complete());
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_33_a_repositorys_directory_above_all_repositories_makes_none() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let top = paths::repository("");
    let top = top.trim_end_matches('/');
    for name in ["_layers", "_manifests", "_uploads"] {
        fixture.registry.put(format!("{top}/{name}"), Content::Directory);
    }
    let scanned = fixture.scan();
    for name in ["_layers", "_manifests", "_uploads"] {
        scanned.has_problem(Code::ForeignFile, &format!("{top}/{name}"));
    }
    let names: String = scanned.one("SELECT group_concat(repository) FROM repositories", []);
    assert_eq!(names, "bystander/app,team/app");
}

#[test]
fn case_34_a_repository_may_lie_in_another() {
    let mut fixture = Fixture::new();
    let images = ["a", "a/b", "a/b/c"].map(|name| (name, fixture.push(name, "1.0")));
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    for (name, image) in &images {
        scanned.tag_is_whole(name, "1.0", &image.digest);
    }
    // What is deleted with `a` is its own image, not those below it.
    let exclusive: i64 =
        scanned.one("SELECT exclusive_bytes FROM repositories WHERE repository = 'a'", []);
    let logical: i64 =
        scanned.one("SELECT logical_bytes FROM repositories WHERE repository = 'a'", []);
    assert_eq!(logical - exclusive, 5_000, "the base layer is shared with both");
    scanned.only_garbage_is_orphan();
}

/// A repository whose part at `path` is moved out of the storage and linked to from there.
fn scan_with_symlink(fixture: Fixture, path: &str) -> Scanned {
    let on_disk = fixture.write();
    let outside = on_disk.outside("elsewhere");
    fs::rename(on_disk.path(path), &outside).unwrap();
    symlink(&outside, on_disk.path(path)).unwrap();
    on_disk.scan()
}

fn close(on_disk: &OnDisk, path: &str) {
    let path = on_disk.path(path);
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

#[test]
fn case_38_an_unreadable_repository_keeps_the_whole_storage() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let on_disk = fixture.write();
    close(&on_disk, &paths::repository("team/app"));
    let scanned = on_disk.scan_without_privileges();
    scanned.has_problem(Code::DirectoryUnreadable, &paths::repository("team/app"));
    scanned.everything_is_kept();
}

#[test]
fn case_38_a_symlinked_repository_keeps_the_whole_storage() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let scanned = scan_with_symlink(fixture, &paths::repository("team/app"));
    scanned.has_problem(Code::SymlinkNotFollowed, &paths::repository("team/app"));
    scanned.everything_is_kept();
}

/// Two images in a repository whose manifests nobody can list, a large blob elsewhere that is
/// surely not one of them, and what no repository links: a manifest, and what may be left of others.
fn hidden_manifests() -> (Fixture, Descriptor, Vec<Descriptor>) {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    fixture.push_untagged("team/app", "nightly");
    let large = fixture.registry.layer("five million bytes", 5_000_000);
    let unlinked = fixture.push_untagged("team/gone", "deleted");
    fixture.remove(&paths::repository("team/gone"));
    let rests =
        ["1", "2", "3"].map(|version| format!("{{\"schemaVersion\": {version}, \"layers\": ["));
    let rests = rests.map(|rest| fixture.registry.blob(rest));
    (fixture, large, [unlinked].into_iter().chain(rests).collect())
}

#[track_caller]
fn manifests_are_kept(scanned: &Scanned, large: &Descriptor, unlinked: &[Descriptor]) {
    assert!(!scanned.is_complete());
    let is_told = scanned.exists(
        "SELECT 1 FROM unreadable_roots WHERE scope = 'manifests' AND repository = 'team/app'",
        [],
    );
    assert!(is_told);
    scanned.is_held("team/app");
    let orphans = scanned.orphans();
    assert!(
        !unlinked.iter().any(|blob| orphans.contains(&blob.digest.to_string())),
        "each may be one of the revisions that cannot be listed: {orphans:?}"
    );
    assert!(
        orphans.contains(&large.digest.to_string()),
        "no registry takes a manifest of this size"
    );
    let linked = scanned
        .column::<String>("SELECT blob_digest FROM layer_links WHERE repository = 'team/app'", []);
    assert!(linked.len() >= 3 && orphans.is_disjoint(&linked));
}

#[test]
fn case_38_unreadable_manifests_keep_all_that_may_be_one() {
    for part in ["_manifests", "_manifests/revisions"] {
        let (fixture, large, unlinked) = hidden_manifests();
        let path = format!("{}/{part}", paths::repository("team/app"));
        let on_disk = fixture.write();
        close(&on_disk, &path);
        let scanned = on_disk.scan_without_privileges();
        scanned.has_problem(Code::DirectoryUnreadable, &path);
        manifests_are_kept(&scanned, &large, &unlinked);
    }
}

#[test]
fn case_38_symlinked_manifests_keep_all_that_may_be_one() {
    for part in ["_manifests", "_manifests/revisions"] {
        let (fixture, large, unlinked) = hidden_manifests();
        let path = format!("{}/{part}", paths::repository("team/app"));
        let scanned = scan_with_symlink(fixture, &path);
        scanned.has_problem(Code::SymlinkNotFollowed, &path);
        manifests_are_kept(&scanned, &large, &unlinked);
    }
}

#[test]
fn case_38_a_manifest_that_cannot_be_opened_holds_its_repository() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let unreferenced = fixture.registry.layer("linked and in no manifest", 600);
    fixture.registry.link_layer("team/app", &unreferenced.digest);
    let on_disk = fixture.write();
    close(&on_disk, &paths::blob(&image.digest));
    let scanned = on_disk.scan_without_privileges();
    scanned.has_problem(Code::FileUnreadable, &paths::blob(&image.digest));
    scanned.is_held("team/app");
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_38_a_revision_link_that_cannot_be_opened_counts_by_its_directory() {
    let mut fixture = Fixture::new();
    let image = fixture.push_untagged("team/app", "nightly");
    let link = paths::revision_link("team/app", &image.digest);
    let on_disk = fixture.write();
    close(&on_disk, &link);
    let scanned = on_disk.scan_without_privileges();
    scanned.has_problem(Code::FileUnreadable, &link);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_38_links_that_could_not_be_opened_are_read_by_the_next_scan() {
    for is_of_tag in [true, false] {
        let mut fixture = Fixture::new();
        let digest = fixture.push("team/app", "1.0").digest;
        let link = if is_of_tag {
            paths::tag_current("team/app", "1.0")
        } else {
            paths::revision_link("team/app", &digest)
        };
        let on_disk = fixture.write();
        close(&on_disk, &link);
        let output = on_disk.run_without_privileges(&["scan"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("every figure is a minimum"), "{text}");
        fs::set_permissions(on_disk.path(&link), fs::Permissions::from_mode(0o644)).unwrap();
        let scanned = on_disk.scan();
        assert!(scanned.is_complete());
        scanned.has_only(&[]);
    }
}

#[test]
fn case_38_an_unreadable_list_of_tags_holds_the_revisions() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let path = format!("{}/_manifests/tags", paths::repository("team/app"));
    let scanned = scan_with_symlink(fixture, &path);
    scanned.has_problem(Code::SymlinkNotFollowed, &path);
    scanned.is_held("team/app");
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_38_a_symlinked_shard_of_blobs_is_not_followed() {
    let mut fixture = Fixture::new();
    let (_, layer) = fixture.push_with_layer("team/app", "1.0");
    let path = paths::blob_directory(&layer.digest);
    let scanned = scan_with_symlink(fixture, &path);
    scanned.has_problem(Code::SymlinkNotFollowed, &path);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_38_symlinked_revisions_do_not_free_a_held_layer() {
    // The directory of one algorithm can be the unreadable part, too.
    let (fixture, large, unlinked) = hidden_manifests();
    let path = format!("{}/sha256", revisions("team/app"));
    let scanned = scan_with_symlink(fixture, &path);
    scanned.has_problem(Code::SymlinkNotFollowed, &path);
    manifests_are_kept(&scanned, &large, &unlinked);
}

#[test]
fn case_33_a_repository_moved_aside_under_an_underscore_keeps_its_images() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let on_disk = fixture.write();
    let from = on_disk.path(&paths::repository("team/app"));
    fs::rename(from, on_disk.path(&paths::repository("_app"))).unwrap();
    fs::remove_dir(on_disk.path(&paths::repository("team"))).unwrap();
    let scanned = on_disk.scan();
    scanned.tag_is_whole("_app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_32_a_missing_list_of_revisions_keeps_every_manifest() {
    let mut fixture = Fixture::new();
    let tagged = fixture.push("team/app", "1.0");
    let pinned = fixture.push_untagged("team/app", "pinned by digest");
    let on_disk = fixture.write();
    fs::remove_dir_all(on_disk.path(&revisions("team/app"))).unwrap();
    let scanned = on_disk.scan();
    scanned.tag_is_broken("team/app", "1.0", Some(&tagged.digest));
    scanned.only_garbage_is_orphan();
    assert!(!scanned.orphans().contains(&pinned.digest.to_string()));
}
