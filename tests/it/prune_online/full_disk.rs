//! A registry on a small disk of its own that is full to the last byte.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use walkdir::WalkDir;

use super::{Bench, url, writers};
use crate::env::shown;
use crate::real::layout::{Image, layer};
use crate::real::pushes;
use crate::real::registry::Registry;

/// An ext4 file system in a file, mounted over the root of a registry.
struct Disk {
    registry: Registry,
    root: PathBuf,
}

const DISK_BYTES: u64 = 48 << 20;

pub const GARBAGE: &[&str] =
    &["prune", "untagged-revisions", "--garbage", "--min-age", "0s", "--max-delete-percent", "100"];

fn image(name: &str) -> Image {
    Image::of(&[&layer("base", 400_000), &layer(name, 1_500_000)])
}

/// Mounts a new file system over `root`. False where nothing can be mounted.
pub fn mount(file: &Path, root: &Path) -> bool {
    File::create(file).unwrap().set_len(DISK_BYTES).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-m", "0", "-F"]).arg(file).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfs.ext4 is in e2fsprogs");
    let mounted = Command::new("mount").args(["-o", "loop"]).args([file, root]).output().unwrap();
    if !mounted.status.success() {
        let reason = shown(&mounted);
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: nothing can be mounted here: {reason}").unwrap();
    }
    mounted.status.success()
}

/// Unmounts what was mounted, also when a test fails.
pub struct Mounted(pub PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn free_bytes(root: &Path) -> u64 {
    let output = Command::new("df").args(["-B1", "--output=avail"]).arg(root).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

impl Disk {
    /// A registry with one tag, three untagged images and no byte left; `None` where nothing can be
    /// mounted.
    fn full(change: impl FnOnce(&str) -> String) -> Option<Self> {
        let registry = Registry::start_with(change);
        let root = registry.root();
        if !mount(&registry.beside().join("disk"), &root) {
            return None;
        }
        let disk = Self { registry, root };
        for name in ["old 1", "old 2", "old 3", "new"] {
            pushes::put(&disk.registry, "team/app", "1.0", &image(name));
        }
        disk.fill();
        Some(disk)
    }

    /// Writes until not one byte more has room.
    fn fill(&self) {
        let mut filler = File::create(self.root.join("filler")).unwrap();
        for size in [1 << 20, 4096, 1] {
            while filler.write_all(&vec![1; size]).and_then(|()| filler.sync_data()).is_ok() {}
        }
    }

    fn free_bytes(&self) -> u64 {
        free_bytes(&self.root)
    }

    fn assert_whole(&self, tag: &str, image: &Image) {
        let wrongs = writers::wrongs(&self.registry, "team/app", tag, image);
        assert!(wrongs.is_empty(), "{wrongs:#?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.registry.stop();
        Command::new("umount").arg("-l").arg(&self.root).status().ok();
    }
}

fn in_memory(config: &str) -> String {
    config.replace("storage:\n", "storage:\n  cache:\n    blobdescriptor: inmemory\n")
}

#[test]
fn a_full_disk_is_freed_beside_a_registry_that_serves() {
    for has_cache in [false, true] {
        let change = if has_cache { in_memory } else { str::to_owned as fn(&str) -> String };
        let Some(disk) = Disk::full(change) else { return };
        let bench = Bench::of(&disk.root);
        let before = disk.free_bytes();
        let url = url(&disk.registry);
        let how = if has_cache { ["--registry-url", &url] } else { ["--cache-off", "--online"] };
        let online = ["--online", "--wait", "300ms", "--delete", "--yes", "--no-trash"];
        let online = if has_cache { &online[..] } else { &online[1..] };
        let text = bench.ends(0, &[GARBAGE, online, &how].concat());
        assert!(text.contains("no trash can be used"), "{text}");
        let after = disk.free_bytes();
        assert!(after >= before + 4_400_000, "{before} -> {after}: {text}");
        disk.assert_whole("1.0", &image("new"));
        // What it said is freed can be pushed again.
        pushes::put(&disk.registry, "team/app", "again", &image("old 1"));
        disk.assert_whole("again", &image("old 1"));
        assert!(aside(&disk.root).is_empty());
    }
}

/// Files that are aside.
fn aside(directory: &Path) -> Vec<PathBuf> {
    let all = WalkDir::new(directory).into_iter().map(|entry| entry.unwrap());
    let is_aside = |entry: &walkdir::DirEntry| {
        entry.file_type().is_file()
            && matches!(entry.file_name().to_str(), Some("gone" | ".regsql-aside"))
    };
    all.filter(is_aside).map(walkdir::DirEntry::into_path).collect()
}

#[test]
fn without_room_for_the_trash_nothing_is_stopped_and_the_way_that_works_is_named() {
    let Some(disk) = Disk::full(str::to_owned) else { return };
    let bench = Bench::of(&disk.root);
    let before = ["--offline", "--delete", "--yes", "--before", "touch stopped"];
    let text = bench.ends(2, &[GARBAGE, &before].concat());
    assert!(text.contains("no room for the trash"), "{text}");
    assert!(text.contains("KiB, and 0 B are free on the disk of"), "{text}");
    assert!(text.contains("hint: nothing was touched; --no-trash"), "{text}");
    assert!(!bench.path("stopped").exists(), "{text}");
    let before = disk.free_bytes();
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes", "--no-trash"]].concat());
    assert!(disk.free_bytes() >= before + 4_400_000);
    disk.assert_whole("1.0", &image("new"));
}

#[test]
fn a_deletion_without_room_that_was_killed_is_put_back_by_the_next() {
    let Some(disk) = Disk::full(str::to_owned) else { return };
    let bench = Bench::of(&disk.root);
    let online = ["--online", "--cache-off", "--delete", "--yes", "--no-trash", "--wait"];
    for waits in [1, 2] {
        let mut command = bench.command(&[GARBAGE, &online, &["3s"]].concat());
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let waiting = lines.map_while(Result::ok).filter(|line| line.contains("waiting"));
        assert_eq!(waiting.take(waits).count(), waits);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!aside(&disk.root).is_empty());
        disk.assert_whole("1.0", &image("new"));
    }
    let text = bench.ends(0, &[GARBAGE, &online, &["200ms"]].concat());
    assert!(text.contains("files were put back"), "{text}");
    assert!(aside(&disk.root).is_empty(), "{text}");
    disk.assert_whole("1.0", &image("new"));
}

#[test]
fn what_a_push_needs_comes_back_from_aside() {
    let Some(disk) = Disk::full(str::to_owned) else { return };
    let bench = Bench::of(&disk.root);
    let online = ["--online", "--cache-off", "--delete", "--yes", "--no-trash", "--wait", "1s"];
    let late = image("old 2");
    for moment in [1, 2] {
        let mut command = bench.command(&[GARBAGE, &online].concat());
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        let mut count = 0;
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            count += usize::from(line.contains("waiting"));
            if line.contains("waiting") && count == moment {
                // What a registry writes whose check was done before. The disk has no room: what was
                // written before takes none.
                fs::remove_file(disk.root.join("filler")).unwrap();
                let digest = regsql::model::Digest::parse(&late.digest()).unwrap();
                let paths = [
                    regsql::sample::paths::revision_link("team/app", &digest),
                    regsql::sample::paths::tag_current("team/app", "late"),
                ];
                for path in paths {
                    let path = disk.root.join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, late.digest()).unwrap();
                }
            }
            text.push_str(&line);
            text.push('\n');
        }
        let output = child.wait_with_output().unwrap();
        text.push_str(&shown(&output));
        assert!(text.contains("no trash can be used") && text.contains("Put back "), "{text}");
        disk.assert_whole("late", &late);
        disk.assert_whole("1.0", &image("new"));
        // Once more, with the tag gone.
        let tag = disk.root.join("docker/registry/v2/repositories/team/app/_manifests/tags/late");
        fs::remove_dir_all(tag).unwrap();
        disk.fill();
    }
}

#[test]
fn the_trash_takes_a_few_bytes_for_each_blob() {
    const COUNT: u64 = 2_000;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    fs::create_dir(&root).unwrap();
    if !mount(&directory.path().join("disk"), &root) {
        return;
    }
    let _mounted = Mounted(root.clone());
    let mut registry = regsql::sample::RegistryBuilder::new();
    registry.image("app").push_tag("1.0");
    for number in 0..COUNT {
        registry.blob(format!("garbage {number}"));
    }
    registry.write_to(&root).unwrap();
    let bench = Bench::of(&root);
    let before = free_bytes(&root);
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    let reserve = fs::metadata(root.join(".regsql/reserve")).unwrap().len();
    let taken = before - free_bytes(&root) - reserve;
    // Blocks of whole directories, and two lines' worth of names and list for each.
    assert!(taken < COUNT * 110 + (64 << 10), "{taken} bytes for {COUNT} blobs");
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert!(free_bytes(&root) + reserve > before + COUNT * 1_800);
}

#[test]
fn what_was_set_aside_has_room_for_a_trash_on_a_full_disk() {
    let Some(disk) = Disk::full(str::to_owned) else { return };
    let bench = Bench::of(&disk.root);
    let prune = [GARBAGE, &["--offline", "--delete", "--yes"]].concat();
    fs::remove_file(disk.root.join("filler")).unwrap();
    bench.ends(0, &prune);
    bench.ends(0, &["undo"]);
    let reserve = || fs::metadata(disk.root.join(".regsql/reserve")).unwrap().len();
    let before = reserve();
    disk.fill();
    assert_eq!(disk.free_bytes(), 0);
    bench.ends(0, &prune);
    assert!(reserve() < before, "it was used, and less of it is set aside again");
    disk.assert_whole("1.0", &image("new"));
    let before = disk.free_bytes();
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert!(disk.free_bytes() >= before + 4_000_000);
    assert!(disk.root.join(".regsql/reserve").exists(), "for the next time");
}

#[test]
fn a_nightly_job_on_a_full_disk_heals_itself() {
    let Some(disk) = Disk::full(str::to_owned) else { return };
    let bench = Bench::of(&disk.root);
    let recipe = include_str!("../../../docs/operations.md");
    let choice: Vec<&str> = recipe
        .lines()
        .skip_while(|line| !line.starts_with("keep=()"))
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(choice.len(), 2, "the recipe chooses by how full the disk is: {choice:?}");
    let choice = choice.join("\n").replace("/var/lib/registry", disk.root.to_str().unwrap());
    let before = disk.free_bytes();
    let night = format!(
        "set -euo pipefail\n\
         regsql() {{ {} --db {} \"$@\"; }}\n{choice}\n\
         regsql trash purge --storage {root} --older-than 7d --yes\n\
         regsql scan {root}\n\
         regsql {} --offline --delete --yes ${{keep[@]+\"${{keep[@]}}\"}}\n",
        crate::env::REGSQL,
        bench.path("night.db").display(),
        GARBAGE.join(" "),
        root = disk.root.display(),
    );
    for freed in [4_400_000, 0] {
        let output = Command::new("bash").args(["-c", &night]).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        assert!(disk.free_bytes() >= before + freed, "{}", shown(&output));
    }
    disk.assert_whole("1.0", &image("new"));
}

/// Scene by scene, with what `df` says before and after.
#[test]
fn the_hour_of_a_full_disk_from_the_first_failed_push_to_the_last_whole_image() {
    let Some(mut disk) = Disk::full(str::to_owned) else { return };
    assert_eq!(disk.free_bytes(), 0);
    let began = disk.registry.ask("POST", "/v2/team/app/blobs/uploads/");
    assert!(began.status >= 500, "a push fails: {}", began.status);
    disk.assert_whole("1.0", &image("new"));

    // What is there, and what would come free.
    let bench = Bench::of(&disk.root);
    let metrics = bench.done(&["metrics"]);
    assert!(metrics.contains("regsql_disk_free_bytes 0\n"), "{metrics}");
    let text = bench.ends(0, &[GARBAGE].concat());
    let (plan, _) = bench.json(&[GARBAGE].concat());
    let planned = plan["freed_bytes"].as_u64().unwrap();
    assert!(text.contains("Would free 4.") && planned > 4_400_000, "{text}");

    // A trash has no room, and nothing is touched.
    let text = bench.ends(2, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    assert!(text.contains("--no-trash deletes at once"), "{text}");
    assert_eq!(disk.free_bytes(), 0);

    // Freed while it serves.
    let online = ["--online", "--cache-off", "--wait", "300ms", "--delete", "--yes", "--no-trash"];
    let (done, told) = bench.json(&[GARBAGE, &online].concat());
    assert_eq!(done["freed_bytes"], planned, "{told}");
    assert!(told.contains("more free than before"), "planned and measured: {told}");
    let measured = done["measured_bytes"].as_u64().unwrap();
    let reserve = || fs::metadata(disk.root.join(".regsql/reserve")).map_or(0, |file| file.len());
    assert!(measured >= planned && measured < planned + (1 << 20), "{measured} for {planned}");
    assert!(disk.free_bytes() + reserve() >= planned);
    disk.assert_whole("1.0", &image("new"));
    pushes::put(&disk.registry, "team/app", "2.0", &image("pushed after it"));
    disk.assert_whole("2.0", &image("pushed after it"));

    // Full again, and freed while it is stopped: with a trash, in the space that was set aside.
    pushes::put(&disk.registry, "team/app", "2.0", &image("pushed last"));
    bench.ends(0, &["trash", "purge", "--yes"]);
    assert!(reserve() > 0, "any run with room sets some aside");
    disk.fill();
    assert_eq!(disk.free_bytes(), 0);
    disk.registry.stop();
    let text = bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    assert!(text.contains("Moved to the trash"), "{text}");
    let text = bench.ends(0, &["trash", "purge", "--yes"]);
    assert!(text.contains("freed 1.4") && text.contains("more free than before"), "{text}");
    assert!(disk.free_bytes() >= 1_200_000, "{text}");
    disk.registry.serve();
    for (tag, pushed) in [("1.0", "new"), ("2.0", "pushed last")] {
        disk.assert_whole(tag, &image(pushed));
    }
    bench.ends(0, &["verify", "--content", "--max-scan-age", "0s"]);
}
