//! Names that need care wherever they are written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use regsql::model::Code;
use regsql::sample::paths;

use super::fixture::Fixture;

#[test]
fn case_42_tag_names_survive_as_they_are() {
    let mut fixture = Fixture::new();
    let long = "a".repeat(128);
    let names = [long.as_str(), "1.2.3-rc.1", "Latest", "latest", "_x"];
    let image = fixture.push("team/app", "1.0");
    for name in names {
        fixture.registry.tag("team/app", name, &image.digest);
    }
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    for name in names {
        scanned.tag_is_whole("team/app", name, &image.digest);
    }
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_42_names_of_any_bytes_are_scanned_and_escaped() {
    let names: [(&[u8], &str); 5] = [
        (b"new\nline", "new\nline"),
        (b"quote'); DROP TABLE blob; --", "quote'); DROP TABLE blob; --"),
        (b"esc\x1b[31m", "esc\x1b[31m"),
        (b"not-utf8-\xff\xfe", "not-utf8-\\xff\\xfe"),
        ("ümläut,\"x\"".as_bytes(), "ümläut,\"x\""),
    ];
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    for number in 0..names.len() {
        let tag = format!("placeholder-{number}");
        fixture.registry.tag("team/app", &tag, &image.digest);
        fixture.push(&format!("placeholder-{number}"), "1.0");
    }
    let on_disk = fixture.write();
    for (number, (bytes, _)) in names.iter().enumerate() {
        let tag = on_disk.path(&paths::tag("team/app", &format!("placeholder-{number}")));
        fs::rename(&tag, tag.with_file_name(OsStr::from_bytes(bytes))).unwrap();
        let repository = on_disk.path(&paths::repository(&format!("placeholder-{number}")));
        fs::rename(&repository, repository.with_file_name(OsStr::from_bytes(bytes))).unwrap();
    }
    let scanned = on_disk.scan();
    scanned.has_only(&[Code::TagNameInvalid, Code::RepositoryNameInvalid]);
    for (_, text) in names {
        scanned.revision_is_tagged("team/app", &image.digest, true);
        let target: String = scanned.one(
            "SELECT manifest_digest FROM tags WHERE repository = 'team/app' AND tag = ?1",
            [text],
        );
        assert_eq!(target, image.digest.to_string(), "tag {text:?}");
        let tags: i64 =
            scanned.one("SELECT tag_count FROM repositories WHERE repository = ?1", [text]);
        assert_eq!(tags, 1, "repository {text:?}");
    }
    scanned.only_garbage_is_orphan();
}
