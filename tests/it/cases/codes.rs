//! Every code has a fixture: the least damage that gives it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use regsql::model::{Code, Digest};
use regsql::sample::{Content, Descriptor, media_types, paths};
use walkdir::WalkDir;

use super::fixture::{Fixture, OnDisk, Scanned, directory_of, layers, revisions};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[test]
fn every_code_has_a_fixture_that_gives_it() {
    for code in Code::ALL {
        let scanned = damaged(*code);
        let found: i64 =
            scanned.one("SELECT count(*) FROM problems WHERE code = ?1", [code.name()]);
        assert!(found > 0, "{code} was not found");
        let severity: String =
            scanned.one("SELECT severity FROM problems WHERE code = ?1", [code.name()]);
        assert_eq!(severity, code.severity().as_str());
        assert_eq!(names_broken_tags(&scanned), breaks_a_tag(*code), "{code}");
        let has_broken_tag = scanned.exists("SELECT 1 FROM tags WHERE is_broken", []);
        assert_eq!(has_broken_tag, breaks_a_tag(*code), "{code}");
    }
}

/// Whether a finding of `verify` names a tag that cannot be pulled.
fn names_broken_tags(scanned: &Scanned) -> bool {
    let output = scanned.run(&["verify", "-q", "--format", "json", "--max-scan-age", "1d"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    rows.iter().any(|row| row["broken_tag_count"] != 0)
}

/// Whether the fixture's fault keeps a tag from being pulled.
fn breaks_a_tag(code: Code) -> bool {
    matches!(
        code,
        Code::RevisionLinkUnreadable
            | Code::TagLinkUnreadable
            | Code::LayerLinkUnreadable
            | Code::LinkWhitespace
            | Code::LinkMismatch
            | Code::ManifestMissing
            | Code::ManifestUnreadable
            | Code::NotAManifest
            | Code::ManifestTooLarge
            | Code::ConfigMissing
            | Code::LayerMissing
            | Code::LayerLinkMissing
            | Code::ChildWithoutRevision
            | Code::SizeMismatch
            | Code::DeclaredSizeWrong
            | Code::BlobContentMismatch
            | Code::BlobUnreadable
            | Code::TagWithoutRevision
            | Code::HalfTag
            | Code::LayersDirectoryMissing
            | Code::RevisionsDirectoryMissing
    )
}

/// A registry with the fault, scanned. The match has no arm for all others: a new code does not
/// compile without a fixture.
#[expect(clippy::too_many_lines, reason = "a table")]
fn damaged(code: Code) -> Scanned {
    let mut fixture = Fixture::new();
    let (image, layer) = fixture.push_with_layer("team/app", "1.0");
    let gone = Descriptor::new(Digest::of(b"gone"), 500).of_type(media_types::OCI_MANIFEST);
    let blob = paths::blob(&layer.digest);
    let revision = paths::revision_link("team/app", &image.digest);
    let layer_link = paths::layer_link("team/app", &layer.digest);
    match code {
        Code::AuthorityElsewhere => {
            fixture.overwrite(
                "docker/registry/lockfiles/database-in-use".to_owned(),
                "{\"version\":1}",
            );
        }
        Code::DirectoryUnreadable => {
            return closed(fixture, &paths::repository("team/app")).scan_without_privileges();
        }
        Code::FileUnreadable => {
            return closed(fixture, &paths::blob(&image.digest)).scan_without_privileges();
        }
        Code::SymlinkNotFollowed => {
            let on_disk = fixture.write();
            symlink("/etc", on_disk.path(&paths::repository("linked"))).unwrap();
            return on_disk.scan();
        }
        Code::RevisionLinkUnreadable => fixture.overwrite(revision, ""),
        Code::TagLinkUnreadable => fixture.overwrite(paths::tag_current("team/app", "1.0"), ""),
        Code::LayerLinkUnreadable => fixture.overwrite(layer_link, ""),
        Code::LinkWhitespace => fixture.overwrite(revision, &format!("{}\n", image.digest)),
        Code::LinkMismatch => {
            let other = fixture.push("team/app", "2.0");
            fixture.overwrite(revision, &other.digest.to_string());
        }
        Code::ManifestMissing => fixture.remove(&paths::blob_directory(&image.digest)),
        Code::ManifestUnreadable => fixture.overwrite(paths::blob(&image.digest), "{"),
        Code::NotAManifest => fixture.registry.link_revision("team/app", &layer.digest),
        Code::ManifestTooLarge => {
            fixture.registry.put(paths::blob(&image.digest), Content::Sparse(5 << 20));
        }
        Code::ManifestTypeUnknown => {
            fixture.registry.manifest(
                "team/app",
                r#"{"schemaVersion":2,"mediaType":"application/vnd.example.box.v1+json"}"#,
            );
        }
        Code::ReferenceInvalid => {
            let body = format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"digest":"sha256:abc","size":1}},"layers":[]}}"#,
                media_types::OCI_MANIFEST
            );
            fixture.registry.manifest("team/app", body);
        }
        Code::ConfigMissing => {
            fixture.registry.image("team/app").config(CONFIG, "{\"os\":\"x\"}").push_tag("2.0");
            fixture.remove(&paths::blob_directory(&Digest::of(b"{\"os\":\"x\"}")));
        }
        Code::ConfigUnreadable => {
            fixture.registry.image("team/app").config(CONFIG, "no JSON").push_tag("2.0");
        }
        Code::LayerMissing => fixture.remove(&paths::blob_directory(&layer.digest)),
        Code::LayerLinkMissing => fixture.remove(&directory_of(&layer_link)),
        Code::IndexChildAbsent => {
            fixture.registry.index("team/app").children([&image, &gone]).push_tag("2.0");
        }
        Code::ChildWithoutRevision => {
            let child = fixture.push_untagged("team/app", "arm64");
            fixture.registry.index("team/app").children([&image, &child]).push_tag("2.0");
            fixture.remove(&directory_of(&paths::revision_link("team/app", &child.digest)));
        }
        Code::DeclaredSizeWrong => {
            let wrong = Descriptor { size: layer.size + 1, ..layer.clone() };
            fixture.registry.image("team/app").layers([&wrong]).push_tag("1.0");
            fixture.registry.image("team/other").layers([&layer]).push_tag("1.0");
        }
        Code::SizeMismatch => fixture.overwrite(blob, "cut"),
        Code::BlobContentMismatch => {
            fixture.overwrite(blob, &"x".repeat(layer.size as usize));
            return fixture.write().verify_content();
        }
        Code::BlobUnreadable => {
            let on_disk = closed(fixture, &blob);
            let arguments = ["verify", "--content", "--fail-on=never"];
            let output = on_disk.run_without_privileges(&arguments);
            return on_disk.scanned(&output);
        }
        Code::TagWithoutRevision => fixture.remove(&directory_of(&revision)),
        Code::HalfTag => fixture.remove(&paths::tag_current("team/app", "1.0")),
        Code::TagNameInvalid => fixture.registry.tag("team/app", "-bad", &image.digest),
        Code::RepositoryNameInvalid => drop(fixture.push("Team/App", "1.0")),
        Code::LayersDirectoryMissing => fixture.remove(&layers("team/app")),
        Code::RevisionsDirectoryMissing => fixture.remove(&revisions("team/app")),
        Code::RepositoryNeverCompleted => {
            fixture.registry.put(layers("team/new"), Content::Directory);
        }
        Code::RepositoriesMissing => {
            fixture.registry.tree.remove(&format!("{}/repositories", paths::V2));
        }
        Code::BlobsMissing => {
            fixture.registry.tree.remove(&format!("{}/blobs", paths::V2));
        }
        Code::NamespaceEmpty => {
            fixture.registry.put(paths::repository("team-b"), Content::Directory);
        }
        Code::Vanished => {
            let on_disk = fixture.scan().into_disk();
            fs::remove_dir_all(on_disk.path(&paths::repository("team/app"))).unwrap();
            fs::remove_dir(on_disk.path(&paths::repository("team"))).unwrap();
            return on_disk.scan();
        }
        Code::GhostRepository => {
            fixture.registry.put(revisions("team/old"), Content::Directory);
        }
        Code::DanglingLink => fixture.registry.link_layer("team/app", &gone.digest),
        Code::OrphanReferrer => {
            fixture.registry.referrer("team/app", &gone, "application/spdx+json", "{}");
        }
        Code::ForeignFile => fixture.overwrite(format!("{}/blobs/notes.txt", paths::V2), "x"),
        Code::Clutter => fixture.overwrite(format!("{}/blobs/@eaDir/x", paths::V2), "x"),
        Code::TemporaryFile => fixture.overwrite(format!("{blob}.0c2f.tmp"), "x"),
        Code::EmptyDirectory => {
            fixture.registry.put(paths::blob_directory(&gone.digest), Content::Directory);
        }
        Code::UploadStartUnreadable => {
            fixture.registry.upload("team/app", "upload", 10, "yesterday");
        }
        Code::StaleUpload => {
            let old = SystemTime::now() - Duration::from_hours(24 * 8);
            fixture.registry.at(old).upload("team/app", "upload", 10, "2026-01-02T03:04:05Z");
        }
        Code::PermissionsWrong => {
            let on_disk = closed(fixture, &blob);
            if rustix::process::geteuid().is_root() {
                give_away(&on_disk.root());
            }
            return on_disk.scan();
        }
        Code::PullThroughCache => fixture.overwrite("scheduler-state.json", "{}"),
    }
    fixture.scan()
}

/// Writes, with one path that only root can open.
fn closed(fixture: Fixture, path: &str) -> OnDisk {
    let on_disk = fixture.write();
    fs::set_permissions(on_disk.path(path), fs::Permissions::from_mode(0o000)).unwrap();
    on_disk
}

/// Makes a user who is not root the owner of all below.
fn give_away(path: &Path) {
    for entry in WalkDir::new(path) {
        chown(entry.unwrap().path(), Some(65_534), None).unwrap();
    }
}

#[test]
fn files_that_the_owner_may_read_have_no_wrong_permissions() {
    let mut fixture = Fixture::new();
    let (_, layer) = fixture.push_with_layer("team/app", "1.0");
    let on_disk = fixture.write();
    if rustix::process::geteuid().is_root() {
        give_away(&on_disk.root());
        // Another's file, which a group or anyone may read: the registry may be of the group.
        let data = on_disk.path(&paths::blob(&layer.digest));
        chown(&data, Some(0), Some(0)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o640)).unwrap();
    }
    on_disk.scan().has_only(&[]);
}

#[test]
fn an_upload_becomes_stale_though_nothing_has_changed() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let old = SystemTime::now() - Duration::from_hours(24 * 8);
    fixture.registry.at(old).upload("team/app", "upload", 10, "2026-01-02T03:04:05Z");
    let on_disk = fixture.scan().into_disk();
    // As the last scan would have left it two days ago.
    let database = rusqlite::Connection::open(on_disk.database()).unwrap();
    let two_days_ago =
        "DELETE FROM problem; UPDATE scan SET started_ns = started_ns - 172800000000000";
    database.execute_batch(two_days_ago).unwrap();
    drop(database);
    let output = on_disk.run(&["scan"]);
    on_disk.scanned(&output).has_only(&[Code::StaleUpload]);
}
