//! Contents: what is corrupt and what is not, and what a check remembers.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant, SystemTime};

use regsql::sample::Descriptor;
use rustix::process::{Pid, Signal, kill_process};

use super::{Storage, rows};
use crate::env::shown;
use crate::incremental::{changed_in_one_tick, swap};

#[test]
fn a_healthy_registry_is_found_right_blob_by_blob() {
    let storage = Storage::new();
    let (out, err) = storage.ends(0, &["verify", "--content", "--format", "json"]);
    assert_eq!(out, "[]\n");
    assert!(err.contains("10 of 10 blobs") && err.contains("10 right, 0 not"), "{err}");
    assert!(err.contains("no problems found"), "{err}");
    assert_eq!((storage.verified(), storage.present()), (10, 10));
}

#[test]
fn a_flipped_bit_a_cut_and_an_empty_file_are_corrupt_with_the_tags_they_break() {
    let storage = Storage::new();
    storage.flip_a_bit(&storage.base);
    let bytes = fs::read(storage.data(&storage.own)).unwrap();
    fs::write(storage.data(&storage.own), &bytes[..bytes.len() - 1]).unwrap();
    fs::write(storage.data(&storage.tool), "").unwrap();

    let (out, err) = storage.ends(1, &["verify", "--content", "--format", "json"]);
    assert!(err.contains("7 right, 3 not"), "{err}");
    let rows = rows(&out);
    let found = |digest: &regsql::model::Digest| {
        let digest = digest.to_string();
        rows.iter().find(|row| row["digest"] == digest.as_str()).unwrap().clone()
    };
    for row in &rows {
        assert_eq!(
            (&row["code"], &row["severity"]),
            (&"blob-content-mismatch".into(), &"error".into())
        );
        assert!(row["hint"].as_str().unwrap().contains("push an image"), "{row}");
    }
    let base = found(&storage.base.digest);
    assert_eq!(base["broken_tag_count"], 2);
    assert_eq!(base["first_broken_tags"], "team/app:1.0, team/app:1.1");
    assert!(base["detail"].as_str().unwrap().starts_with("its 50000 bytes are sha256:"));
    assert_eq!(found(&storage.own.digest)["first_broken_tags"], "team/app:1.0");
    let empty = found(&storage.tool.digest);
    assert_eq!(empty["first_broken_tags"], "tool/cli:1");
    assert!(
        empty["detail"].as_str().unwrap().starts_with("its 0 bytes are sha256:e3b0c44298fc1c14"),
        "{empty}"
    );
    assert_eq!(storage.verified(), 7);
}

#[test]
fn what_is_corrupt_stays_known_until_the_file_changes_or_is_found_right() {
    let storage = Storage::new();
    let good = fs::read(storage.data(&storage.base)).unwrap();
    storage.flip_a_bit(&storage.base);
    storage.ends(1, &["verify", "--content"]);
    let known = "SELECT count(*) FROM problems WHERE code = 'blob-content-mismatch'";
    assert_eq!(storage.count(known), 1);
    assert_eq!(storage.count("SELECT value FROM totals WHERE name = 'error_count'"), 1);
    let broken = "SELECT count(*) FROM tags WHERE is_broken";
    let broken_total = "SELECT value FROM totals WHERE name = 'broken_tag_count'";
    assert_eq!((storage.count(broken), storage.count(broken_total)), (2, 2));
    let (out, _) = storage.ends(0, &["report", "broken-images", "-f", "json"]);
    assert_eq!(rows(&out).len(), 2);
    for row in rows(&out) {
        assert_eq!(row["fault"], "layer has the wrong content");
        assert_eq!(row["missing_digest"], storage.base.digest.to_string());
    }
    // Without reading anything again, and in a snapshot that is made anew.
    storage.ends(1, &["verify"]);
    let root = storage.root();
    storage.ends(0, &["scan", "--full", root.to_str().unwrap()]);
    assert_eq!(storage.count(known), 1);
    assert_eq!(storage.verified(), 9, "times are carried into the new snapshot");
    assert_eq!((storage.count(broken), storage.count(broken_total)), (2, 2));
    let (out, _) = storage.ends(0, &["report", "mending", "-f", "json"]);
    assert_eq!(rows(&out)[0]["broken_tag_count"], 2);

    // Healed behind its back: the next check of content sees it.
    fs::write(storage.data(&storage.base), &good).unwrap();
    storage.ends(0, &["verify", "--content"]);
    assert_eq!((storage.count(known), storage.verified()), (0, 10));
    assert_eq!((storage.count(broken), storage.count(broken_total)), (0, 0));
    assert_eq!(storage.count("SELECT value FROM totals WHERE name = 'error_count'"), 0);

    // A file that was written again was not read since, whatever it holds.
    fs::write(storage.data(&storage.base), &good).unwrap();
    storage.ends(0, &["scan", root.to_str().unwrap()]);
    assert_eq!(storage.verified(), 9);
}

#[test]
fn a_file_that_takes_the_place_of_one_that_was_read_is_not_taken_for_it() {
    let mut twin = None;
    let storage = Storage::with(|registry| {
        let layer = registry.layer("twin", 20_000);
        registry.image("team/app").layers([&layer]).push_tag("1.2");
        twin = Some(layer);
    });
    let (one, other) = (storage.data(&storage.own), storage.data(&twin.unwrap()));
    let one_time = SystemTime::now() - Duration::from_hours(99);
    for data in [&one, &other] {
        fs::File::open(data).unwrap().set_modified(one_time).unwrap();
    }
    changed_in_one_tick(&one, &other);
    let root = storage.root();
    let scan_again = || storage.ends(0, &["scan", root.to_str().unwrap()]);
    scan_again();
    storage.ends(0, &["verify", "--content"]);
    let change_places = || swap(one.parent().unwrap(), other.parent().unwrap()).unwrap();
    change_places();
    scan_again();
    assert_eq!(storage.verified(), storage.present() - 2, "others have been found right");
    let due = ["verify", "--content", "--not-verified-for", "1d"];
    let (_, err) = storage.ends(1, &due);
    assert!(err.contains("0 right, 2 not"), "{err}");
    // What was wrong of a file that is elsewhere now is forgotten as well.
    change_places();
    scan_again();
    let known = "SELECT count(*) FROM problems WHERE code = 'blob-content-mismatch'";
    assert_eq!(storage.count(known), 0);
}

#[test]
fn a_blob_that_was_read_and_found_right_is_no_longer_doubted_for_its_size() {
    // No manifest agrees with the disk, so only reading shows who is at fault.
    let storage = Storage::with(|registry| {
        let layer = registry.layer("measured wrongly", 7_000);
        let wrong = Descriptor { size: 7_001, ..layer };
        registry.image("guest/app").layers([&wrong]).push_tag("1.0");
    });
    let codes =
        || storage.count("SELECT count(*) FROM problems WHERE code = 'declared-size-wrong'");
    let corrupt = || {
        let (out, err) = storage.ends(0, &["prune", "--corrupt", "--min-age", "0s"]);
        out + &err
    };
    assert_eq!(codes(), 0);
    assert!(corrupt().contains("1 corrupt"), "{}", corrupt());
    let (out, _) = storage.ends(1, &["verify", "--content", "--format", "json"]);
    assert_eq!(codes(), 1);
    // A later scan knows it too.
    let scan_again = || {
        storage.ends(0, &["scan", "--full", storage.root().to_str().unwrap()]);
        storage.ends(1, &["verify", "--format", "json"]).0
    };
    for out in [out, scan_again()] {
        let rows = rows(&out);
        assert_eq!(rows.len(), 1, "{out}");
        assert_eq!(rows[0]["code"], "declared-size-wrong");
        assert_eq!(rows[0]["first_broken_tags"], "guest/app:1.0");
        assert_eq!(
            (storage.count("SELECT value FROM total WHERE name = 'problem_count'"), codes()),
            (1, 1)
        );
        assert_eq!(storage.count("SELECT value FROM total WHERE name = 'broken_tag_count'"), 1);
        assert!(!corrupt().contains("1 corrupt"), "{}", corrupt());
    }
}

#[test]
fn a_killed_check_goes_on_where_it_ended() {
    let storage = Storage::with(many_layers);
    let all = storage.present();
    let mut child = storage
        .command(&["verify", "--content", "--max-rate", "60kB", "--jobs", "1"])
        .spawn()
        .unwrap();
    wait_for_a_batch(&storage);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = storage.verified();
    assert!((1..all).contains(&before), "{before} of {all}");

    let (_, err) = storage.ends(0, &["verify", "--content", "--not-verified-for", "1d"]);
    let left = all - before;
    assert!(err.contains(&format!("{left} of {left} blobs")), "{before} were read, but {err}");
    assert_eq!(storage.verified(), all);
    let (_, err) = storage.ends(0, &["verify", "--content", "--not-verified-for", "1d"]);
    assert!(err.contains("0 of 0 blobs"), "{err}");
}

#[test]
fn ctrl_c_keeps_what_was_read_and_ends_with_130() {
    let storage = Storage::with(many_layers);
    let child = storage
        .command(&["verify", "--content", "--max-rate", "60kB", "--jobs", "1"])
        .spawn()
        .unwrap();
    wait_for_a_batch(&storage);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "it did not stop at once");
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let err = String::from_utf8(output.stderr).unwrap();
    let verified = storage.verified();
    let all = storage.present();
    assert!(verified > 0);
    assert!(err.contains(&format!("error: stopped after {verified} of {all} blobs")), "{err}");
    assert!(err.contains("--not-verified-for 1d"), "{err}");
}

fn wait_for_a_batch(storage: &Storage) {
    let began = Instant::now();
    while storage.verified() == 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "nothing was written");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Forty layers of 10 kB.
fn many_layers(registry: &mut regsql::sample::RegistryBuilder) {
    let layers: Vec<_> =
        (0..40).map(|number| registry.layer(&format!("layer {number}"), 10_000)).collect();
    registry.image("big/image").layers(&layers).push_tag("1");
}

#[test]
fn the_rate_is_that_of_all_threads_together() {
    let storage = Storage::new();
    let bytes = storage.count("SELECT sum(size_bytes) FROM blobs WHERE is_present");
    let began = Instant::now();
    storage.ends(0, &["verify", "--content", "--max-rate", "50kB", "--jobs", "4"]);
    let seconds = began.elapsed().as_secs_f64();
    let expected = bytes as f64 / 50_000.0;
    // The last pieces need not be waited for by those who come after; a busy machine is slower.
    assert!(
        (expected * 0.9..expected * 2.0 + 2.0).contains(&seconds),
        "{seconds} s for {bytes} bytes"
    );
}

#[test]
fn thirty_days_in_a_row_read_every_blob_once() {
    let storage = Storage::with(many_layers);
    let mut read = 0;
    let today = jiff::Timestamp::now();
    for day in 0..30 {
        let now = today + jiff::SignedDuration::from_hours(24 * day);
        let output = storage
            .command(&["verify", "--content", "--subset", "1/30", "--max-scan-age", "1000d"])
            .env("REGSQL_NOW", now.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let err = String::from_utf8(output.stderr).unwrap();
        let count = err.strip_prefix("read ").unwrap().split(' ').next().unwrap();
        read += count.parse::<i64>().unwrap();
    }
    assert_eq!((read, storage.verified()), (storage.present(), storage.present()));
    let days = "SELECT count(DISTINCT substr(verified_at, 1, 10)) FROM blobs";
    assert!(storage.count(days) > 15, "the days' parts are of one size");
}

#[test]
fn only_new_blobs_are_read_when_that_is_asked_for() {
    let storage = Storage::new();
    // Their ctime is now, however old they say they are: who moved a file here did it today.
    let (_, err) = storage.ends(0, &["verify", "--content", "--newer-than", "1h"]);
    assert!(err.contains("10 of 10 blobs"), "{err}");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 8);
    let arguments = ["verify", "--content", "--newer-than", "7d", "--max-scan-age", "30d"];
    let output = storage.command(&arguments).env("REGSQL_NOW", later.to_string()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("0 of 0 blobs"), "{err}");
}

#[test]
fn what_goes_or_changes_under_a_check_is_not_called_corrupt() {
    let storage = Storage::new();
    fs::remove_file(storage.data(&storage.tool)).unwrap();
    let mut command = storage.command(&["verify", "--content", "-v", "--format", "json"]);
    let mut child = command.args(["--max-rate", "50kB", "--jobs", "1"]).spawn().unwrap();
    // The base layer takes a second to read. It changes all the time.
    let mut written = 0;
    let data = storage.data(&storage.base);
    let original = fs::read(&data).unwrap();
    while child.try_wait().unwrap().is_none() {
        written += 1;
        let mut changed = original.clone();
        changed.push(u8::try_from(written % 256).unwrap());
        fs::write(&data, changed).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    let rows = rows(&String::from_utf8(output.stdout.clone()).unwrap());
    assert!(rows.is_empty(), "{}", shown(&output));
    assert_eq!(output.status.code(), Some(0));
    assert!(err.contains("2 blobs were removed or changed while they were read"), "{err}");
    assert!(err.contains(&format!("removed or changed: {}", relative(&storage, &data))), "{err}");
}

fn relative(storage: &Storage, path: &std::path::Path) -> String {
    path.strip_prefix(storage.root()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_scan_may_run_beside_a_check_and_loses_none_of_its_results() {
    let storage = Storage::with(many_layers);
    let root = storage.root();
    let child = storage
        .command(&["verify", "--content", "--max-rate", "150kB", "--jobs", "2"])
        .spawn()
        .unwrap();
    for number in 0..4 {
        // A new repository, so that each scan writes a new snapshot, in which blobs have new numbers.
        let upload = format!("docker/registry/v2/repositories/new/{number}/_uploads");
        fs::create_dir_all(root.join(upload)).unwrap();
        let blob = regsql::model::Digest::of(format!("{number}").as_bytes());
        let data = root.join(regsql::sample::paths::blob(&blob));
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        fs::write(data, format!("{number}")).unwrap();
        storage.ends(0, &["scan", root.to_str().unwrap()]);
        std::thread::sleep(Duration::from_millis(700));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let read = String::from_utf8(output.stderr).unwrap();
    let count: i64 =
        read.strip_prefix("read ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(storage.verified(), count);
    assert_eq!(storage.present(), count + 4);
}

#[test]
fn a_sha512_name_is_checked_too() {
    let storage = Storage::with(|registry| {
        let layer = registry.layer("named by sha512", 5_000);
        let alias = registry.sha512_alias("team/alias", &layer);
        registry.image("team/alias").layers([&alias]).push_tag("1");
        let other = registry.layer("named by another's sha512", 5_000);
        let wrong = regsql::model::Digest::parse(&format!("sha512:{}", "ab".repeat(64))).unwrap();
        registry.link_layer_alias("team/alias", &wrong, &other.digest);
        let wrong = regsql::sample::Descriptor::new(wrong, 5_000);
        registry.image("team/alias").layers([&wrong]).push_tag("2");
    });
    let (out, _) = storage.ends(1, &["verify", "--content", "--format", "json"]);
    let rows = rows(&out);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert!(rows[0]["digest"].as_str().unwrap().starts_with("sha512:abab"));
    assert_eq!(rows[0]["first_broken_tags"], "team/alias:2");
}

#[test]
fn an_old_scan_is_made_anew_first() {
    let storage = Storage::new();
    fs::remove_file(storage.data(&storage.tool)).unwrap();
    storage.ends(0, &["verify", "-f", "json"]);
    let (out, err) = storage.ends(1, &["verify", "--max-scan-age", "0s", "-f", "json"]);
    assert!(err.contains("scanned "), "{err}");
    assert!(out.contains("layer-missing"), "{out}");
    // Without any scan the storage must be named.
    fs::remove_file(storage.path().join("registry.db")).unwrap();
    let (_, err) = storage.ends(2, &["verify"]);
    assert!(err.contains("no database at `registry.db`"), "{err}");
    storage.ends(1, &["verify", "registry"]);
}

#[test]
fn a_large_blob_needs_no_more_memory_than_a_small_one() {
    let storage = Storage::new();
    // A gigabyte of zeros under a name that is not theirs, of which the disk holds nothing.
    let digest = regsql::model::Digest::of(b"zeros");
    let data = storage.root().join(regsql::sample::paths::blob(&digest));
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    fs::File::create(&data).unwrap().set_len(1 << 30).unwrap();
    let mut child = storage
        .command(&["verify", "--content", "--max-scan-age", "0s", "--max-rate", "400MB", "-q"])
        .args(["-f", "json"])
        .spawn()
        .unwrap();
    let mut most_kib = 0;
    while child.try_wait().unwrap().is_none() {
        if let Ok(file) = fs::File::open(format!("/proc/{}/status", child.id())) {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                if let Some(rest) = line.strip_prefix("VmHWM:") {
                    most_kib = rest.trim().trim_end_matches(" kB").parse().unwrap_or(most_kib);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(out.contains("its 1073741824 bytes are sha256:49bc20df15e412a6"), "{out}");
    assert!((1..100 << 10).contains(&most_kib), "{most_kib} KiB");
}

#[test]
fn a_check_leaves_the_storage_as_it_was() {
    let storage = Storage::new();
    let times = |path: &std::path::Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.modified().unwrap(), metadata.len())
    };
    let data = storage.data(&storage.base);
    let before: (SystemTime, u64) = times(&data);
    storage.ends(0, &["verify", "--content"]);
    assert_eq!(times(&data), before);
}
