//! Where a lake may lie, and what stays when an export does not come to its end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{export, exports, readable, sample, whole_scans};
use crate::env::{LIMIT, REGSQL, regsql, shown, wait_until};
use crate::tree::Tree;

#[test]
fn a_second_export_of_a_scan_changes_nothing_and_says_so() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    let told = exports(&sample.database(), &lake, &["--registry", "acme"]);
    assert!(told.contains("exported") && told.contains("registry=acme/scan="), "{told}");
    let before = Tree::of(&lake);
    let told = exports(&sample.database(), &lake, &["--registry", "acme"]);
    assert!(told.contains("nothing was changed"), "{told}");
    before.assert_same(&Tree::of(&lake), "a second export");
    // Wherever it lies, the same scan is the same bytes.
    let other = sample.path().join("other");
    exports(&sample.database(), &other, &["--registry", "acme"]);
    for path in readable(&lake) {
        assert!(
            fs::read(lake.join(&path)).unwrap() == fs::read(other.join(&path)).unwrap(),
            "{path:?}"
        );
    }
    // A part that went is written again.
    let path = readable(&lake).into_iter().next().unwrap();
    fs::remove_file(lake.join(&path)).unwrap();
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    assert_eq!(readable(&lake), readable(&other));
}

#[test]
fn what_is_no_lake_is_refused_and_left_as_it_is() {
    let sample = sample::shop();
    let database = sample.database();
    let refused = |place: &Path, arguments: &[&str], reason: &str| {
        let mut all = vec![place.to_str().unwrap()];
        all.extend(arguments);
        let told = shown(&export(&database, &all));
        assert!(told.starts_with("exit 2"), "{told}");
        assert!(told.contains(reason) && told.contains("hint: "), "{told}");
    };
    let other = sample.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), "mine").unwrap();
    let before = Tree::of(&other);
    refused(&other, &[], "no lake of regsql's: it holds `notes.txt`");
    before.assert_same(&Tree::of(&other), "refusing");
    refused(&other.join("notes.txt"), &[], "is not a directory");
    refused(&sample.root().join("lake"), &[], "lies inside the storage");
    assert!(!sample.root().join("lake").exists());
    refused(Path::new("s3a://bucket/lake"), &[], "no storage's address");
    refused(Path::new("swift://bucket/lake"), &[], "does not read Swift");
    let lake = sample.path().join("lake");
    refused(&lake, &["--registry", ""], "cannot be the name of a registry");
    refused(&lake, &["--registry", &"a".repeat(300)], "too long");
    assert!(!lake.exists(), "a wrong name makes no directory");
    exports(&database, &lake, &["--registry", "acme"]);
    refused(&lake, &["--registry", "acme", "--format", "csv"], "holds parquet, not csv");
    fs::write(lake.join("_regsql_lake.json"), "{\"format\":99}").unwrap();
    refused(&lake, &["--registry", "acme"], "made by a newer regsql");
}

#[test]
fn a_database_without_a_scan_of_this_version_is_refused() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    let connection = rusqlite::Connection::open(sample.database()).unwrap();
    // As a migration leaves the scan of an older regsql.
    connection.execute("DELETE FROM scan_schema", []).unwrap();
    let told = shown(&export(&sample.database(), &[lake.to_str().unwrap()]));
    assert!(told.contains("exit 2") && told.contains("made by an older regsql"), "{told}");
    assert!(told.contains("hint: scan again"), "{told}");
    connection.execute("DELETE FROM scan", []).unwrap();
    let told = shown(&export(&sample.database(), &[lake.to_str().unwrap()]));
    assert!(told.contains("no scan in database") && told.contains("hint: "), "{told}");
    assert!(!lake.exists());
    sample.scan(&[]);
    exports(&sample.database(), &lake, &[]);
}

#[test]
fn two_registries_with_one_name_are_told_apart() {
    let one = sample::shop();
    let two = sample::mirror();
    let lake = one.path().join("lake");
    exports(&one.database(), &lake, &["--registry", "acme"]);
    let connection = rusqlite::Connection::open(one.database()).unwrap();
    let at: i64 =
        connection.query_row("SELECT finished_ns FROM scan", [], |row| row.get(0)).unwrap();
    let connection = rusqlite::Connection::open(two.database()).unwrap();
    connection.execute("UPDATE scan SET finished_ns = ?1", [at]).unwrap();
    let before = Tree::of(&lake);
    let told = shown(&export(&two.database(), &[lake.to_str().unwrap(), "--registry", "acme"]));
    assert!(told.contains("exit 2") && told.contains("holds another scan of `acme`"), "{told}");
    assert!(told.contains("--registry NAME"), "{told}");
    before.assert_same(&Tree::of(&lake), "refusing");
}

/// Moments at which an export is killed.
const MOMENTS: u32 = 24;

#[test]
fn an_export_killed_at_any_moment_leaves_all_or_nothing() {
    let sample = sample::generated();
    let whole_lake = sample.path().join("whole");
    let began = Instant::now();
    exports(&sample.database(), &whole_lake, &["--registry", "acme"]);
    let whole = began.elapsed();
    let lake = sample.path().join("lake");
    for moment in 0..MOMENTS {
        let mut command = regsql();
        command.arg("--db").arg(sample.database()).arg("export").arg(&lake);
        command.args(["--registry", "acme"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole * moment / MOMENTS + Duration::from_millis(1));
        let signal = if moment.is_multiple_of(3) { Signal::TERM } else { Signal::KILL };
        kill_process(Pid::from_child(&child), signal).ok();
        assert!(wait_until(&mut child, Instant::now() + LIMIT).is_some());
        // Without its `scan_info` the views of an engine show nothing of a scan.
        if !whole_scans(&lake).is_empty() {
            assert_eq!(readable(&lake), readable(&whole_lake), "moment {moment}");
            fs::remove_dir_all(&lake).unwrap();
        }
    }
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    assert_eq!(readable(&lake), readable(&whole_lake));
    for path in readable(&lake) {
        let same = fs::read(lake.join(&path)).unwrap() == fs::read(whole_lake.join(&path)).unwrap();
        assert!(same, "{path:?}");
    }
    let hidden = fs::read_dir(&lake).unwrap().map(|entry| entry.unwrap().file_name());
    let hidden: Vec<_> = hidden.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?} is left");
}

#[test]
fn what_a_killed_export_had_published_is_taken_back() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    let scan = whole_scans(&lake).pop_first().unwrap();
    let of_table = scan.strip_prefix(lake.join("scan_info")).unwrap().to_owned();
    // As if it was killed before the last of its renames.
    fs::remove_dir_all(&scan).unwrap();
    let staging = lake.join(".regsql-export-killed");
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("lock"), "").unwrap();
    // And another, while it wrote the marker of the lake.
    let marker = lake.join(".regsql-export-marker");
    fs::write(&marker, "{").unwrap();
    let names: Vec<&str> = of_table.iter().map(|name| name.to_str().unwrap()).collect();
    fs::write(staging.join("partition.json"), serde_json::to_string(&names).unwrap()).unwrap();
    let other = sample::mirror();
    exports(&other.database(), &lake, &["--registry", "other"]);
    let left: Vec<_> = readable(&lake)
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("registry=acme"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!staging.exists() && !marker.exists());
    assert_eq!(whole_scans(&lake).len(), 1);
}

#[test]
fn any_number_of_exports_go_into_one_lake_at_once() {
    let sample = sample::generated();
    let lake = sample.path().join("lake");
    let start = |name: &str| {
        let mut command = regsql();
        command.arg("--db").arg(sample.database()).arg("export").arg(&lake);
        command.args(["--registry", name]).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Two of the very same scan among them.
    let names = ["a", "b", "c", "a"];
    for child in names.map(start) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    }
    assert_eq!(whole_scans(&lake).len(), 3);
    let tables: usize =
        fs::read_dir(&lake).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(readable(&lake).len(), 3 * tables);
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left() {
    let sample = sample::generated();
    let disk = sample.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=300k none \"$1\" || exit 77
         \"$2\" --db \"$3\" export \"$1\" --registry acme; echo \"ends with $?\"
         echo left: $(find \"$1\" -type f | grep -v _regsql_lake.json)";
    let mut command = Command::new("unshare");
    let is_root = rustix::process::geteuid().is_root();
    command.args(if is_root { &["-m"] as &[_] } else { &["-r", "-m"] });
    command.args(["sh", "-c", script, "sh"]).arg(&disk).arg(REGSQL).arg(sample.database());
    let output = command.env("LC_ALL", "C").output().expect("unshare of util-linux");
    let told = shown(&output);
    if !output.status.success() && (told.contains("unshare failed") || told.contains("exit 77")) {
        return;
    }
    assert!(told.contains("ends with 2") && told.contains("No space left on device"), "{told}");
    assert!(told.contains("hint: nothing of this export is left"), "{told}");
    assert!(told.contains("left:\n"), "{told}");
}
