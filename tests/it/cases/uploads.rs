//! Uploads that were begun and not finished.

use regsql::model::Code;
use regsql::sample::paths;

use super::fixture::Fixture;

const ID: &str = "6e3f9d0a-7c41-4a5e-9a55-0d5d2b1c8f10";

#[test]
fn case_37_an_upload_has_its_bytes_and_its_times() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    fixture.registry.upload("team/app", ID, 12_345, "2026-01-02T03:04:05Z");
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    let upload: (String, i64, String) = scanned
        .database
        .query_row(
            "SELECT upload_id, size_bytes, started_at FROM uploads WHERE repository = 'team/app'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(upload, (ID.to_owned(), 12_345, "2026-01-02T03:04:05Z".to_owned()));
    // Its files were written by this test, long after the time that `startedat` says.
    let is_younger: bool = scanned.one("SELECT active_at > started_at FROM uploads", []);
    assert!(is_younger);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_37_an_upload_without_a_start_is_told() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    for (id, text) in [("garbled", Some("yesterday")), ("missing", None)] {
        fixture.registry.upload("team/app", id, 10, "2026-01-02T03:04:05Z");
        let path = format!("{}/startedat", paths::upload("team/app", id));
        match text {
            Some(text) => fixture.overwrite(path, text),
            None => fixture.remove(&path),
        }
    }
    let scanned = fixture.scan();
    scanned.has_only(&[Code::UploadStartUnreadable]);
    let uploads: i64 = scanned
        .one("SELECT count(*) FROM uploads WHERE started_at IS NULL AND active_at IS NOT NULL", []);
    assert_eq!(uploads, 2);
}
