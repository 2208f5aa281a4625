//! Files and directories below `blobs`.

use std::fs;

use regsql::model::{Code, Digest};
use regsql::sample::{Content, Descriptor, paths};

use super::fixture::Fixture;

#[test]
fn case_12_data_below_a_name_that_is_no_digest_is_foreign() {
    let mut fixture = Fixture::new();
    let blobs = format!("{}/blobs/sha256", paths::V2);
    let short = format!("{blobs}/ab/abcd");
    let beside = format!("{blobs}/ab/data");
    let one_letter = format!("{blobs}/a");
    fixture.overwrite(format!("{short}/data"), "x");
    fixture.overwrite(&beside, "x");
    fixture.overwrite(format!("{one_letter}/data"), "x");
    let scanned = fixture.scan();
    for path in [&short, &beside, &one_letter] {
        scanned.has_problem(Code::ForeignFile, path);
    }
    scanned.has_only(&[Code::ForeignFile]);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_12_only_a_directory_of_two_small_hex_digits_is_a_shard() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let blobs = format!("{}/blobs/sha256", paths::V2);
    // A shard that no blob lies in.
    let is_free =
        |path: &String| fixture.registry.tree.iter().all(|(known, _)| !known.starts_with(path));
    let file = (0..=255).map(|byte| format!("{blobs}/{byte:02x}")).find(is_free).unwrap();
    fixture.overwrite(&file, "x");
    let names = ["AB", "g0", "0g", "a", "abc"].map(|name| format!("{blobs}/{name}"));
    for path in &names {
        fixture.overwrite(format!("{path}/{}/data", Digest::of(b"lost").encoded()), "lost");
    }
    let scanned = fixture.scan();
    for path in names.iter().chain([&file]) {
        scanned.has_problem(Code::ForeignFile, path);
    }
    scanned.has_only(&[Code::ForeignFile]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_13_a_copied_folder_beside_sha256_is_foreign() {
    let mut fixture = Fixture::new();
    let hex = Digest::of(b"copied").encoded();
    let copy = format!("{}/blobs/sha256 (copy)", paths::V2);
    fixture.overwrite(format!("{copy}/{}/{hex}/data", &hex[..2]), "copied");
    let scanned = fixture.scan();
    scanned.has_problem(Code::ForeignFile, &copy);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_14_blob_directories_with_something_else_in_them() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let [empty, nested, silly] =
        [&b"empty"[..], b"nested", b"silly"].map(|text| paths::blob_directory(&Digest::of(text)));
    fixture.registry.put(&empty, Content::Directory);
    fixture.overwrite(format!("{nested}/data/inner"), "x");
    let silly_renamed = format!("{silly}/.nfs00000000deadbeef00000001");
    fixture.overwrite(&silly_renamed, "x");
    let other = format!("{}/checksum", paths::blob_directory(&image.digest));
    fixture.overwrite(&other, "x");
    let scanned = fixture.scan();
    scanned.has_problem(Code::EmptyDirectory, &empty);
    scanned.has_problem(Code::ForeignFile, &format!("{nested}/data"));
    scanned.has_problem(Code::Clutter, &silly_renamed);
    scanned.has_problem(Code::ForeignFile, &other);
    scanned.has_only(&[Code::EmptyDirectory, Code::ForeignFile, Code::Clutter]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_15_a_layer_cut_short_has_another_size_than_its_manifest_says() {
    let mut fixture = Fixture::new();
    let (_, empty) = fixture.push_with_layer("team/app", "1.0");
    let (_, short) = fixture.push_with_layer("team/app", "2.0");
    fixture.overwrite(paths::blob(&empty.digest), "");
    fixture.overwrite(paths::blob(&short.digest), "cut");
    let scanned = fixture.scan();
    for layer in [&empty, &short] {
        scanned.has_problem(Code::SizeMismatch, &paths::blob(&layer.digest));
    }
    scanned.has_only(&[Code::SizeMismatch]);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_15_the_empty_blob_is_a_valid_layer() {
    let mut fixture = Fixture::new();
    let nothing = fixture.registry.blob("");
    let image = fixture.registry.image("team/app").layers([&nothing]).push_tag("1.0");
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_16_content_that_does_not_match_its_digest_is_not_looked_for() {
    let mut fixture = Fixture::new();
    let (image, layer) = fixture.push_with_layer("team/app", "1.0");
    fixture.overwrite(paths::blob(&layer.digest), &"x".repeat(layer.size as usize));
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_36_empty_directories_are_told() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    let gone = Digest::of(b"deleted through the API");
    let revision = paths::revision_link("team/app", &gone).replace("/link", "");
    let layer = paths::layer_link("team/app", &gone).replace("/link", "");
    let blob = paths::blob_directory(&gone);
    for directory in [&revision, &layer, &blob] {
        fixture.registry.put(directory, Content::Directory);
    }
    let scanned = fixture.scan();
    for directory in [&revision, &layer, &blob] {
        scanned.has_problem(Code::EmptyDirectory, directory);
    }
    scanned.has_only(&[Code::EmptyDirectory]);
    let revisions: i64 =
        scanned.one("SELECT count(*) FROM revisions WHERE repository = 'team/app'", []);
    assert_eq!(revisions, 1);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_39_objects_named_like_directories_are_ignored() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let shard = format!("{}/blobs/04", paths::V2);
    let dummy = format!("{}/repositories/empty", paths::V2);
    fixture.overwrite(&dummy, "");
    let on_disk = fixture.write();
    fs::create_dir(on_disk.path(&shard)).unwrap();
    let scanned = on_disk.scan();
    scanned.has_problem(Code::ForeignFile, &dummy);
    scanned.has_no_problem(Code::DirectoryUnreadable);
    assert!(scanned.is_complete());
    let is_listed = scanned.exists("SELECT 1 FROM repositories WHERE repository = 'empty'", []);
    assert!(!is_listed);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_15_a_wrong_size_in_one_manifest_breaks_no_other_image() {
    let mut fixture = Fixture::new();
    let (image, layer) = fixture.push_with_layer("team/app", "1.0");
    let wrong = Descriptor { size: layer.size + 1, ..layer.clone() };
    let guest = fixture.registry.image("guest/app").layers([&wrong]).push_tag("1.0");
    let scanned = fixture.scan();
    scanned.has_problem(Code::DeclaredSizeWrong, &paths::blob(&guest.digest));
    scanned.has_only(&[Code::DeclaredSizeWrong]);
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    scanned.tag_is_broken("guest/app", "1.0", Some(&guest.digest));
    let why = scanned.run(&["why", "guest/app:1.0"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("declared-size-wrong"), "{why}");
    let plan = scanned.run(&["prune", "--corrupt", "--format", "json"]);
    assert!(!String::from_utf8_lossy(&plan.stdout).contains(&layer.digest.to_string()));
}

#[test]
fn case_15_a_wrong_size_of_a_manifest_that_is_right_is_the_fault_of_who_says_it() {
    for wrong_bytes in [0, 1_000_000] {
        let mut fixture = Fixture::new();
        let image = fixture.push("team/app", "1.0");
        let subject = fixture.push("team/app", "signed");
        let wrong = |manifest: &Descriptor| Descriptor { size: wrong_bytes, ..manifest.clone() };
        let index = fixture.registry.index("team/app").children([&wrong(&image)]).push_tag("index");
        let nothing = fixture.registry.blob("{}");
        let referrer = fixture.registry.image("team/app").layers([&nothing]);
        let referrer = referrer.subject(&wrong(&subject)).push_tag("referrer");
        let scanned = fixture.scan();
        scanned.has_problem(Code::DeclaredSizeWrong, &paths::blob(&index.digest));
        scanned.has_only(&[Code::DeclaredSizeWrong]);
        scanned.tag_is_whole("team/app", "1.0", &image.digest);
        scanned.tag_is_whole("team/app", "signed", &subject.digest);
        scanned.tag_is_whole("team/app", "referrer", &referrer.digest);
        scanned.tag_is_broken("team/app", "index", Some(&index.digest));
        let plan = scanned.run(&["prune", "--corrupt", "--min-age", "0s"]);
        let plan = [plan.stdout, plan.stderr].concat();
        assert!(!String::from_utf8_lossy(&plan).contains("corrupt blob"));
    }
}

#[test]
fn case_15_a_manifest_cut_short_is_no_fault_of_the_index_that_says_its_size() {
    let mut fixture = Fixture::new();
    let image = fixture.push_untagged("team/app", "child");
    let index = fixture.registry.index("team/app").children([&image]).push_tag("index");
    fixture.overwrite(paths::blob(&image.digest), "{\"schemaVersion\":2}");
    let scanned = fixture.scan();
    scanned.has_problem(Code::SizeMismatch, &paths::blob(&image.digest));
    scanned.has_no_problem(Code::DeclaredSizeWrong);
    scanned.tag_is_broken("team/app", "index", Some(&index.digest));
}
