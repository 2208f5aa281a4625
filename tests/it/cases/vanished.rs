//! What was there at the last scan and is not there now.

use std::fs;
use std::process::Output;

use regsql::model::Code;
use regsql::sample::{Content, paths};

use crate::prune::pulls::{assert_none_lost, pulls};

use super::fixture::{Fixture, OnDisk, Scanned};

const DELETE: [&str; 10] = [
    "prune",
    "--garbage",
    "untagged-revisions",
    "--delete",
    "--offline",
    "--yes",
    "--min-age",
    "0s",
    "--max-delete-percent",
    "100",
];

fn prune(scanned: &Scanned, more: &[&str]) -> Output {
    scanned.run(&[&DELETE, more].concat())
}

/// Standard error of a run that must end with this code.
#[track_caller]
fn ends_with(code: i32, output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    message
}

fn two_teams() -> OnDisk {
    let mut fixture = Fixture::new();
    fixture.push("team-a/app", "1.0");
    fixture.push("team-b/app", "1.0");
    fixture.push("team-b/app", "2.0");
    fixture.push("team-b/tool", "1.0");
    fixture.write()
}

fn repository(name: &str) -> String {
    paths::repository(name)
}

#[test]
fn a_namespace_whose_mount_failed_is_seen_and_nothing_is_deleted() {
    let scanned = two_teams().scan();
    scanned.has_only(&[]);
    let on_disk = scanned.into_disk();
    let (mounted, elsewhere) = (on_disk.path(&repository("team-b")), on_disk.outside("team-b"));
    fs::rename(&mounted, &elsewhere).unwrap();
    let scanned = on_disk.scan();
    scanned.has_only(&[Code::Vanished]);
    scanned.has_problem(Code::Vanished, &repository("team-b"));
    // Later scans still know.
    let scanned = scanned.into_disk().scan();
    for more in [&[][..], &["--accept-vanished=team-a"]] {
        let message = ends_with(2, &prune(&scanned, more));
        assert!(
            message.contains("namespace team-b (2 repositories with 3 tags) vanished since"),
            "{message}"
        );
        assert!(message.contains("--accept-vanished"), "{message}");
    }
    let on_disk = scanned.into_disk();
    fs::rename(&elsewhere, &mounted).unwrap();
    let scanned = on_disk.scan();
    scanned.has_only(&[]);
    scanned.only_garbage_is_orphan();
    ends_with(0, &prune(&scanned, &[]));
}

#[test]
fn what_is_accepted_is_named_and_is_the_measure_from_then_on() {
    let scanned = two_teams().scan();
    let on_disk = scanned.into_disk();
    fs::remove_dir_all(on_disk.path(&repository("team-b"))).unwrap();
    fs::remove_dir_all(on_disk.path(&paths::tag("team-a/app", "1.0"))).unwrap();
    let scanned = on_disk.scan();
    let dry = ["prune", "--garbage", "--accept-vanished"];
    ends_with(0, &scanned.run(&dry));
    // A dry run accepts nothing for good, and one name accepts nothing else.
    let message = ends_with(2, &prune(&scanned, &["--accept-vanished=team-b"]));
    assert!(message.contains("all 1 tag of team-a/app vanished"), "{message}");
    assert!(!message.contains("namespace team-b"), "{message}");
    let message = ends_with(0, &prune(&scanned, &["--accept-vanished"]));
    assert!(message.contains("accepted: namespace team-b"), "{message}");
    assert!(message.contains("accepted: all 1 tag of team-a/app"), "{message}");
    ends_with(0, &prune(&scanned, &[]));
    scanned.into_disk().scan().has_no_problem(Code::Vanished);
}

#[test]
fn what_a_deletion_of_its_own_took_has_not_vanished() {
    let scanned = two_teams().scan();
    let target = ["--target", "team-b/app:1.0", "--target", "team-b/app:2.0"];
    ends_with(0, &prune(&scanned, &target));
    ends_with(0, &prune(&scanned, &["--target", "team-b/tool:1.0", "--no-trash"]));
    ends_with(0, &prune(&scanned, &[]));
    let scanned = scanned.into_disk().scan();
    scanned.has_no_problem(Code::Vanished);
    // The rest is still watched.
    let on_disk = scanned.into_disk();
    fs::remove_dir_all(on_disk.path(&paths::tag("team-a/app", "1.0"))).unwrap();
    on_disk.scan().has_problem(Code::Vanished, &repository("team-a/app"));
}

#[test]
fn a_share_of_all_tags_that_can_be_set_has_vanished() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1");
    for number in 2..=7 {
        fixture.registry.tag("team/app", &number.to_string(), &image.digest);
    }
    let on_disk = fixture.scan().into_disk();
    // Of eight tags, one of which is another repository's, three go, then two of five.
    let gone = |on_disk: &OnDisk, tags: &[&str]| {
        for tag in tags {
            fs::remove_dir_all(on_disk.path(&paths::tag("team/app", tag))).unwrap();
        }
    };
    gone(&on_disk, &["1", "2", "3"]);
    let scanned = on_disk.scan();
    scanned.has_no_problem(Code::Vanished);
    let on_disk = scanned.into_disk();
    ends_with(0, &on_disk.run(&["scan", "--max-vanished-percent", "30"]));
    gone(&on_disk, &["4", "5"]);
    let scanned = on_disk.scan();
    let detail: String = scanned.one("SELECT detail FROM problems WHERE code = 'vanished'", []);
    assert!(detail.starts_with("2 of 5 tags vanished since 20"), "{detail}");
}

#[test]
fn an_empty_namespace_and_an_empty_top_keep_every_blob() {
    for (emptied, code) in [
        (repository("team-b"), Code::NamespaceEmpty),
        (format!("{}/repositories", paths::V2), Code::RepositoriesMissing),
    ] {
        keeps_every_blob(&emptied, code, None);
    }
}

#[test]
fn a_stray_file_alone_is_no_repository_and_keeps_every_blob() {
    for (emptied, code) in [
        (repository("team-b"), Code::NamespaceEmpty),
        (format!("{}/repositories", paths::V2), Code::RepositoriesMissing),
    ] {
        // The last is known clutter, and no finding for itself.
        for name in ["NOT_MOUNTED", ".gitkeep", ".placeholder", ".DS_Store"] {
            keeps_every_blob(&emptied, code, Some(name));
        }
    }
}

/// Empties a directory but for one file, and prunes without a scan before that could tell.
#[track_caller]
fn keeps_every_blob(emptied: &str, code: Code, stray: Option<&str>) {
    let on_disk = two_teams();
    let path = on_disk.path(emptied);
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    if let Some(stray) = stray {
        fs::write(path.join(stray), "").unwrap();
    }
    let scanned = on_disk.scan();
    scanned.has_problem(code, emptied);
    if let Some(stray) = stray.filter(|stray| *stray != ".DS_Store") {
        scanned.has_problem(Code::ForeignFile, &format!("{emptied}/{stray}"));
    }
    assert!(!scanned.exists("SELECT 1 FROM orphan_blobs", []), "{code}");
    let is_complete: bool = scanned.one("SELECT complete FROM scan_info", []);
    assert!(!is_complete, "{code}");
    let before: i64 = scanned.one("SELECT count(*) FROM blobs WHERE is_present", []);
    prune(&scanned, &[]);
    let scanned = scanned.into_disk().scan();
    let after: i64 = scanned.one("SELECT count(*) FROM blobs WHERE is_present", []);
    assert_eq!(after, before, "{code}");
}

#[test]
fn blobs_whose_mount_failed_are_unknown_and_no_link_is_deleted() {
    for emptied in ["blobs", "blobs/sha256"] {
        for is_mount_point in [true, false] {
            let on_disk = two_teams();
            let mounted = on_disk.path(&format!("{}/{emptied}", paths::V2));
            let elsewhere = on_disk.outside("blobs");
            fs::rename(&mounted, &elsewhere).unwrap();
            if is_mount_point {
                fs::create_dir(&mounted).unwrap();
            }
            let scanned = on_disk.scan();
            scanned.has_only(&[Code::BlobsMissing]);
            let is_complete: bool = scanned.one("SELECT complete FROM scan_info", []);
            assert!(!is_complete, "{emptied}");
            assert!(!scanned.exists("SELECT 1 FROM tags WHERE is_broken IS NOT NULL", []));
            assert!(!scanned.exists("SELECT 1 FROM layer_links WHERE is_dangling", []));
            prune(&scanned, &["dangling-links", "orphan-referrers", "unneeded-links"]);
            let on_disk = scanned.into_disk();
            if is_mount_point {
                fs::remove_dir(&mounted).unwrap();
            }
            fs::rename(&elsewhere, &mounted).unwrap();
            // Every link is where it was.
            on_disk.scan().has_only(&[]);
        }
    }
}

#[test]
fn blobs_that_were_collected_to_the_last_are_known_to_be_gone() {
    let on_disk = two_teams();
    let blobs = on_disk.path(&format!("{}/blobs/sha256", paths::V2));
    for shard in fs::read_dir(&blobs).unwrap() {
        let shard = shard.unwrap().path();
        fs::remove_dir_all(&shard).unwrap();
        fs::create_dir(&shard).unwrap();
    }
    on_disk.scan().has_no_problem(Code::BlobsMissing);
}

#[test]
fn a_registry_that_was_never_pushed_to_lacks_nothing() {
    let mut fixture = Fixture::new();
    fixture.registry.put(paths::repository("x"), Content::Directory);
    let on_disk = fixture.write();
    fs::remove_dir_all(on_disk.path(paths::V2)).unwrap();
    fs::create_dir_all(on_disk.path(&format!("{}/blobs", paths::V2))).unwrap();
    on_disk.scan().has_only(&[]);
}

#[test]
fn what_a_scan_could_not_read_is_neither_missed_nor_forgotten() {
    let scanned = two_teams().scan();
    let on_disk = scanned.into_disk();
    let (team, moved) = (on_disk.path(&repository("team-b")), on_disk.outside("team-b"));
    fs::rename(&team, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &team).unwrap();
    let scanned = on_disk.scan();
    scanned.has_only(&[Code::SymlinkNotFollowed]);
    // What that scan could read is compared with it.
    let on_disk = scanned.into_disk();
    fs::remove_dir_all(on_disk.path(&paths::tag("team-a/app", "1.0"))).unwrap();
    let scanned = on_disk.scan();
    scanned.has_problem(Code::Vanished, &repository("team-a/app"));
    let on_disk = scanned.into_disk();
    fs::remove_file(&team).unwrap();
    let scanned = on_disk.scan();
    scanned.has_problem(Code::Vanished, &repository("team-b"));
    let on_disk = scanned.into_disk();
    fs::rename(&moved, &team).unwrap();
    let detail: String =
        on_disk.scan().one("SELECT detail FROM problems WHERE code = 'vanished'", []);
    assert!(detail.starts_with("all 1 tag of team-a/app"), "{detail}");
}

#[test]
fn what_was_never_read_is_not_missed() {
    let on_disk = two_teams();
    let (team, moved) = (on_disk.path(&repository("team-b")), on_disk.outside("team-b"));
    fs::rename(&team, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &team).unwrap();
    let on_disk = on_disk.scan().into_disk();
    fs::remove_file(&team).unwrap();
    on_disk.scan().has_no_problem(Code::Vanished);
}

#[test]
fn an_unreadable_place_of_one_repository_takes_no_guard_from_another_nor_uploads_from_their_own() {
    let on_disk = two_teams();
    let uploads = on_disk.path(&format!("{}/_uploads", repository("team-a/app")));
    let fast = on_disk.outside("fast");
    fs::create_dir(&fast).unwrap();
    drop(fs::remove_dir_all(&uploads));
    std::os::unix::fs::symlink(&fast, &uploads).unwrap();
    let scanned = on_disk.scan();
    scanned.has_only(&[Code::SymlinkNotFollowed]);
    let on_disk = scanned.into_disk();
    fs::remove_dir_all(on_disk.path(&repository("team-b"))).unwrap();
    fs::remove_dir_all(on_disk.path(&paths::tag("team-a/app", "1.0"))).unwrap();
    let scanned = on_disk.scan();
    scanned.has_problem(Code::Vanished, &repository("team-b"));
    scanned.has_problem(Code::Vanished, &repository("team-a/app"));
    let message = ends_with(2, &prune(&scanned, &[]));
    assert!(message.contains("namespace team-b (2 repositories with 3 tags)"), "{message}");
}

#[test]
fn what_vanishes_while_a_deletion_runs_is_missed_but_what_it_takes() {
    let scanned = two_teams().scan();
    let on_disk = scanned.into_disk();
    let (team, moved) = (on_disk.path(&repository("team-b")), on_disk.outside("team-b"));
    // A file that comes before the second plan makes it be worked out again, and then the list is asked for once
    // more: after the last scan before the first move.
    let (mark, stray) = (on_disk.outside("planned"), on_disk.path(&repository("stray")));
    let list = on_disk.outside("list.sh");
    let script = format!(
        "if [ -e '{}' ]; then mv '{}' '{}'; fi\necho bystander/app:1.0\n",
        mark.display(),
        team.display(),
        moved.display()
    );
    fs::write(&list, script).unwrap();
    let before = format!("touch '{}' '{}'", mark.display(), stray.display());
    let list = format!("sh '{}'", list.display());
    let target = ["--target", "team-b/app:1.0", "--before", &before, "--protect-command", &list];
    let scanned = on_disk.scan();
    prune(&scanned, &target);
    assert!(moved.exists(), "the list was not asked for again");
    let scanned = scanned.into_disk().scan();
    let detail: String = scanned.one("SELECT detail FROM problems WHERE code = 'vanished'", []);
    assert!(detail.starts_with("namespace team-b (2 repositories with 2 tags)"), "{detail}");
    ends_with(2, &prune(&scanned, &[]));
}

#[test]
fn a_deletion_through_the_api_that_ended_early_leaves_the_guard_on() {
    let scanned = two_teams().scan();
    let message = ends_with(
        2,
        // Nobody listens there.
        &scanned.run(&[
            "prune",
            "--target",
            "team-b/tool:1.0",
            "--via-api",
            "http://127.0.0.1:9",
            "--delete",
            "--yes",
            "--min-age",
            "0s",
        ]),
    );
    assert!(message.contains("127.0.0.1:9"), "{message}");
    let on_disk = scanned.into_disk().scan().into_disk();
    fs::remove_dir_all(on_disk.path(&repository("team-b/tool"))).unwrap();
    on_disk.scan().has_problem(Code::Vanished, &repository("team-b/tool"));
}

#[test]
fn a_killed_deletion_hides_what_it_was_to_take_and_none_does_from_the_future() {
    // Nanoseconds from now on, and whether what vanished is seen.
    let hour = 3_600_000_000_000_i64;
    for (after_ns, left, is_seen) in
        [(-hour, 0, false), (-hour, 1, true), (hour, 0, true), (-25 * hour, 0, true)]
    {
        let on_disk = two_teams().scan().into_disk();
        let database = rusqlite::Connection::open(on_disk.database()).unwrap();
        let now_ns = jiff::Timestamp::now().as_nanosecond() as i64;
        let row = "INSERT INTO own_deletion VALUES ('team-b/tool', ?1, ?2, ?2)";
        database.execute(row, (now_ns + after_ns, left)).unwrap();
        drop(database);
        fs::remove_dir_all(on_disk.path(&repository("team-b/tool"))).unwrap();
        let found = "SELECT 1 FROM problems WHERE code = 'vanished'";
        assert_eq!(on_disk.scan().exists(found, []), is_seen, "{after_ns} {left}");
    }
}

#[test]
fn what_was_accepted_counts_once_the_deletion_begins() {
    let gone = |on_disk: &OnDisk| {
        fs::remove_dir_all(on_disk.path(&repository("team-b"))).unwrap();
    };
    let accepting = ["prune", "--garbage", "--delete", "--offline", "--accept-vanished"];
    for more in [
        // Nobody is there to say yes.
        &["--min-age", "0s", "--max-delete-percent", "100"][..],
        &["--min-age", "0s", "--max-delete-percent", "1", "--yes"],
        &["--min-age", "0s", "--max-delete-percent", "100", "--yes", "--before", "false"],
    ] {
        let on_disk = two_teams().scan().into_disk();
        gone(&on_disk);
        let scanned = on_disk.scan();
        let output = scanned.run(&[&accepting[..], more].concat());
        assert_ne!(output.status.code(), Some(0), "{more:?}");
        let message = ends_with(2, &prune(&scanned, &[]));
        assert!(message.contains("namespace team-b"), "{more:?}: {message}");
    }
}

#[test]
fn what_vanishes_after_the_plan_was_shown_is_not_accepted_with_it() {
    let on_disk = two_teams().scan().into_disk();
    fs::remove_dir_all(on_disk.path(&repository("team-b"))).unwrap();
    let tag = on_disk.path(&paths::tag("team-a/app", "1.0"));
    let before = format!("mv '{}' '{}'", tag.display(), on_disk.outside("tag").display());
    let scanned = on_disk.scan();
    let message = ends_with(2, &prune(&scanned, &["--accept-vanished", "--before", &before]));
    assert!(message.contains("accepted: namespace team-b"), "{message}");
    assert!(message.contains("all 1 tag of team-a/app vanished"), "{message}");
    let message = ends_with(2, &prune(&scanned, &[]));
    assert!(message.contains("namespace team-b"), "{message}");
}

#[test]
fn most_tags_of_all_that_were_one_repositorys_are_accepted_by_its_name() {
    let mut fixture = Fixture::new();
    let image = fixture.push("solo", "0");
    for number in 1..=9 {
        fixture.registry.tag("solo", &number.to_string(), &image.digest);
    }
    fixture.push("team/app", "1.0");
    let on_disk = fixture.scan().into_disk();
    fs::remove_dir_all(on_disk.path(&repository("solo"))).unwrap();
    let scanned = on_disk.scan();
    ends_with(2, &prune(&scanned, &[]));
    ends_with(0, &prune(&scanned, &["--accept-vanished=solo"]));
    ends_with(0, &prune(&scanned, &[]));
}

/// What is taken from the storage of [`two_teams`], and whether an empty directory is left there.
const AWAY: [(&str, bool); 12] = [
    ("repositories", false),
    ("repositories", true),
    ("repositories/team-b", true),
    ("repositories/team-b/app", true),
    ("repositories/team-b/app/_manifests/revisions", false),
    ("repositories/team-b/app/_manifests/revisions", true),
    ("repositories/team-b/app/_manifests/tags", false),
    ("repositories/team-b/app/_layers", false),
    ("repositories/team-b/app/_layers", true),
    ("repositories/team-b/app/_layers/sha256", false),
    ("repositories/team-b/app/_uploads", false),
    ("blobs", true),
];

/// Without a scan before, these say what the registry says itself of a repository that has no tag left, or
/// never had a manifest.
const LIKE_A_DELETION: [(&str, bool); 5] = [
    ("repositories/team-b", false),
    ("repositories/team-b/app", false),
    ("repositories/team-b/app/_manifests", false),
    ("repositories/team-b/app/_manifests", true),
    ("repositories/team-b/app/_manifests/tags", true),
];

/// Takes something away, prunes whatever goes, and brings it back: every tag must pull as before.
#[track_caller]
fn assert_survives(away: (&str, bool), has_scanned_before: bool) {
    let mut on_disk = two_teams();
    let before = pulls(&on_disk.root());
    if has_scanned_before {
        on_disk = on_disk.scan().into_disk();
    }
    let (path, elsewhere) =
        (on_disk.path(&format!("{}/{}", paths::V2, away.0)), on_disk.outside("away"));
    // The registry makes `_uploads` with each upload, and removes only what is in it.
    fs::create_dir_all(&path).unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    if away.1 {
        fs::create_dir(&path).unwrap();
    }
    let scanned = on_disk.scan();
    let output = prune(&scanned, &[]);
    let on_disk = scanned.into_disk();
    if away.1 {
        fs::remove_dir(&path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_none_lost(&before, &pulls(&on_disk.root()), &format!("{away:?}: {message}"));
}

#[test]
fn whatever_directory_is_missing_or_empty_costs_no_image() {
    for away in AWAY {
        assert_survives(away, false);
    }
}

#[test]
fn whatever_directory_has_gone_since_the_last_scan_costs_no_image() {
    for away in AWAY.into_iter().chain(LIKE_A_DELETION) {
        assert_survives(away, true);
    }
}

#[test]
fn revisions_beside_no_directory_of_tags_stay_until_the_storage_is_trusted() {
    let mut fixture = Fixture::new();
    for repository in ["team-a/app", "team-b/app", "team-b/tool"] {
        fixture.push(repository, "1.0");
    }
    let on_disk = fixture.write();
    fs::remove_dir_all(on_disk.path(&format!("{}/_manifests/tags", repository("team-b/app"))))
        .unwrap();
    let scanned = on_disk.scan();
    // A push by digest alone leaves just that, so it is no fault, and holds nothing else.
    scanned.has_only(&[]);
    assert_eq!(
        scanned.one::<String>(
            "SELECT group_concat(repository) FROM repositories WHERE NOT has_tags_directory",
            []
        ),
        "team-b/app"
    );
    let output = prune(&scanned, &[]);
    ends_with(0, &output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("in repositories that never had a tag"), "{said}");
    let revisions = "SELECT count(*) FROM revisions WHERE repository = 'team-b/app'";
    let scanned = scanned.into_disk().scan();
    assert_eq!(scanned.one::<i64>(revisions, []), 1);
    ends_with(0, &prune(&scanned, &["--trust-storage"]));
    assert_eq!(scanned.into_disk().scan().one::<i64>(revisions, []), 0);
}
