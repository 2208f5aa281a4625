//! What a disk is full of, and what of a deletion comes free on it: regsql says what `df` and `du` say.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _, stderr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regsql::sample::{RegistryBuilder, paths};
use serde_json::Value;
use walkdir::WalkDir;

use super::full_disk::{GARBAGE, Mounted, mount};
use super::{Bench, OFFLINE};
use crate::retention::days_ago;

const MIB: u64 = 1 << 20;

/// An ext4 file system of its own, with a registry on it.
struct Disk {
    root: PathBuf,
    _mounted: Mounted,
    directory: tempfile::TempDir,
}

impl Disk {
    /// `None` where nothing can be mounted.
    fn with(registry: &RegistryBuilder) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("registry");
        fs::create_dir(&root).unwrap();
        if !mount(&directory.path().join("disk"), &root) {
            return None;
        }
        let disk = Self { _mounted: Mounted(root.clone()), root, directory };
        registry.write_to(&disk.root).unwrap();
        Some(disk)
    }

    /// Blocks that are promised to a file are more than it takes in the end.
    fn sync(&self) {
        assert!(Command::new("sync").arg("-f").arg(&self.root).status().unwrap().success());
    }

    /// A figure of `df`, in bytes or percent.
    fn df(&self, what: &str) -> u64 {
        self.sync();
        let output = format!("--output={what}");
        number(Command::new("df").args(["-B1", &output]).arg(&self.root), 1)
    }

    /// What `du` says of paths below the root, in bytes.
    fn du(&self, paths: &[&str]) -> u64 {
        let mut command = Command::new("du");
        command.args(["-s", "-c", "-B1"]).args(paths.iter().map(|path| self.root.join(path)));
        number(&mut command, paths.len())
    }

    /// The blobs that nothing needs, with a name outside of the registry for each.
    fn link_blobs(&self, size_bytes: u64, count: usize) -> Vec<PathBuf> {
        let is_meant = |path: &PathBuf| {
            path.ends_with("data") && fs::metadata(path).unwrap().len() == size_bytes
        };
        let all = files(&self.root).into_iter().filter(is_meant).take(count);
        let snapshot = self.root.join("snapshot");
        fs::create_dir(&snapshot).unwrap();
        all.enumerate()
            .map(|(number, path)| {
                let link = snapshot.join(number.to_string());
                fs::hard_link(path, &link).unwrap();
                link
            })
            .collect()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let all = WalkDir::new(directory).into_iter().map(|entry| entry.unwrap());
    all.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// The first word of a line, as a number.
fn number(command: &mut Command, line: usize) -> u64 {
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let word = text.lines().nth(line).and_then(|line| line.split_whitespace().next());
    word.unwrap_or_else(|| panic!("{text}")).trim_end_matches('%').parse().unwrap()
}

fn json(bench: &Bench, arguments: &[&str]) -> Vec<Value> {
    let text = bench.done(&[arguments, &["--format", "json"]].concat());
    let start = text.find('[').unwrap();
    let end = text.rfind(']').unwrap();
    serde_json::from_str(&text[start..=end]).unwrap()
}

/// One column of the report `disk`, by what takes the space.
fn disk_bytes(bench: &Bench, what: &str) -> u64 {
    let rows = json(bench, &["report", "disk"]);
    let row = rows.iter().find(|row| row["what"] == what);
    row.unwrap_or_else(|| panic!("{what}: {rows:#?}"))["disk_bytes"].as_u64().unwrap()
}

#[track_caller]
fn assert_near(said: u64, measured: u64, most: u64, what: &str) {
    assert!(said.abs_diff(measured) <= most, "{what}: {said} was said, and {measured} is there");
}

/// Images, an upload, garbage of which much is of one size, and what others left.
fn mixed() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    for number in 0..40 {
        let layer = registry.layer(&format!("layer {number}"), 1_000 + number * 7_000);
        registry.image(&format!("team-{}/app", number % 5)).layers([&layer]).push_tag("1.0");
    }
    for number in 0..3 {
        registry.blob(vec![number; 2 * MIB as usize]);
    }
    registry
}

#[test]
fn the_disk_is_as_full_as_df_says_and_the_registry_takes_what_du_says() {
    let Some(disk) = Disk::with(&mixed()) else { return };
    let v2 = "docker/registry/v2";
    // A file that is mostly a hole, in the place of a blob; a second name; and what others left.
    let garbage = |path: &PathBuf| fs::metadata(path).unwrap().len() == 2 * MIB;
    let data = files(&disk.root.join(v2).join("blobs")).into_iter().find(garbage).unwrap();
    File::options().write(true).open(&data).unwrap().set_len(100 * MIB).unwrap();
    assert_eq!(disk.link_blobs(2 * MIB, 1).len(), 1);
    for place in ["docker.old/a/b", "docker/registry/v2/notes"] {
        let place = disk.root.join(place);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("file"), vec![1; 300_000]).unwrap();
    }
    let upload = disk.root.join(v2).join("repositories/team-1/app/_uploads/1");
    fs::create_dir_all(&upload).unwrap();
    fs::write(upload.join("data"), vec![2; 700_000]).unwrap();
    fs::write(upload.join("startedat"), "2026-01-01T00:00:00Z").unwrap();

    disk.sync();
    let bench = Bench::of(&disk.root);
    let check = |moment: &str| {
        for (what, column) in [("the disk", "size"), ("free", "avail")] {
            assert_near(disk_bytes(&bench, what), disk.df(column), 0, &format!("{what} {moment}"));
        }
        let [registry, others] =
            ["this registry", "other files"].map(|what| disk_bytes(&bench, what));
        assert_near(registry + others, disk.df("used"), 0, moment);
        let all = fs::read_dir(&disk.root).unwrap().map(|entry| entry.unwrap().file_name());
        let all: Vec<String> = all.map(|name| name.into_string().unwrap()).collect();
        let all: Vec<&str> =
            all.iter().map(String::as_str).filter(|name| *name != "lost+found").collect();
        // A file with a name in the registry and one beside it counts once.
        let measured = disk.du(&all);
        assert_near(registry, measured, measured / 50, &format!("the registry {moment}"));
        let rows = bench.done(&["sql", "SELECT * FROM disk_use"]);
        let blocks: u64 = files(&disk.root.join(v2).join("blobs"))
            .iter()
            .map(|file| fs::metadata(file).unwrap().blocks() * 512)
            .sum();
        assert_near(disk_bytes(&bench, "blobs"), blocks, 0, &rows);
        let strays = disk.du(&["docker.old", "docker/registry/v2/notes"]);
        let directories = 4 * fs::metadata(disk.root.join("docker.old")).unwrap().blocks() * 512;
        assert_near(disk_bytes(&bench, "strays") + directories, strays, 0, &rows);
        let text = bench.done(&["metrics"]);
        let line = format!("regsql_disk_used_bytes {}", disk.df("used"));
        assert!(text.contains(&line), "{line}: {text}");
        let blobs = format!("regsql_disk_use_bytes{{what=\"blobs\"}} {blocks}");
        assert!(text.contains(&blobs), "{blobs}: {text}");
    };
    check("at first");
    let full = disk.df("pcent");
    assert!(bench.done(&["report"]).contains(&format!("disk, {full} % full")));
    let linked = bench.done(&[
        "sql",
        "-f",
        "csv",
        "SELECT hard_linked_bytes FROM disk_use WHERE what = 'blobs'",
    ]);
    assert!(linked.contains(&(2 * MIB).to_string()), "{linked}");

    bench.done(&["scan", disk.root.to_str().unwrap()]);
    check("after a scan that found nothing new");
    bench.ends(0, &[GARBAGE, &["--offline", "--delete", "--yes"]].concat());
    disk.sync();
    bench.done(&["scan", disk.root.to_str().unwrap()]);
    check("with a trash");
    let trash = disk.du(&[".regsql"]);
    assert_near(disk_bytes(&bench, "trash"), trash, trash / 10 + 64_000, "the trash");
    assert!(disk.directory.path().exists());
}

/// Garbage of 4 MiB, three times.
fn garbage() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 50_000);
    registry.image("team/app").layers([&layer]).push_tag("1.0");
    for number in 0..3 {
        registry.blob(vec![number; 4 * MIB as usize]);
    }
    registry
}

#[test]
fn garbage_that_a_snapshot_holds_comes_free_at_most_and_the_difference_is_explained() {
    for has_trash in [true, false] {
        let Some(disk) = Disk::with(&garbage()) else { return };
        let snapshot = disk.link_blobs(4 * MIB, 2);
        let bench = Bench::of(&disk.root);
        let plan = bench.ends(0, GARBAGE);
        assert!(plan.contains("Would free at most 12.000 MiB"), "{plan}");
        assert!(plan.contains("such as a snapshot's, hold 2 blobs, 8.000 MiB, of that)"), "{plan}");
        let delete = [GARBAGE, &["--offline", "--delete", "--yes"]].concat();
        let before = disk.df("avail");
        let text = if has_trash {
            bench.ends(0, &delete);
            let dry = bench.ends(0, &["trash", "purge", "--dry-run"]);
            assert!(dry.contains("would free at most 12.000 MiB"), "{dry}");
            bench.ends(0, &["trash", "purge", "--yes"])
        } else {
            bench.ends(0, &[&delete[..], &["--no-trash"]].concat())
        };
        assert!(text.to_lowercase().contains("freed at most 12.000 mib"), "{text}");
        assert!(text.contains("other hard links hold 8.000 MiB"), "{text}");
        // The space that is set aside for a full disk is the rest: before the purge, it was made by the deletion.
        let reserve = fs::metadata(disk.root.join(".regsql/reserve")).unwrap().blocks() * 512;
        assert_eq!(
            text.contains("are set aside for a deletion on a full disk"),
            !has_trash,
            "{text}"
        );
        assert!(!text.contains("others wrote meanwhile"), "{text}");
        let freed = disk.df("avail") + reserve - before;
        assert_near(freed, 4 * MIB, MIB / 4, &text);
        for (number, file) in snapshot.iter().enumerate() {
            assert_eq!(fs::metadata(file).unwrap().len(), 4 * MIB, "copy {number} is whole");
        }
    }
}

#[test]
fn an_upload_that_a_snapshot_holds_comes_free_at_most_and_a_sparse_one_is_called_so() {
    let id = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";
    for is_sparse in [true, false] {
        let mut registry = RegistryBuilder::new();
        registry.image("team/app").push_tag("1.0");
        registry.at(days_ago(30));
        registry.upload("team/app", id, 20 * MIB, "2020-01-01T00:00:00Z");
        let Some(disk) = Disk::with(&registry) else { return };
        let data = disk.root.join(paths::upload("team/app", id)).join("data");
        if !is_sparse {
            let mut file = File::options().write(true).open(&data).unwrap();
            file.write_all(&vec![7; 20 * MIB as usize]).unwrap();
            file.set_modified(days_ago(30)).unwrap();
            fs::hard_link(&data, disk.root.join("snapshot")).unwrap();
        }
        let bench = Bench::of(&disk.root);
        let choice = ["prune", "stale-uploads", "--min-age=0s", "--max-delete-percent=100"];
        let plan = bench.ends(0, &choice);
        assert_eq!(plan.contains("Would free at most "), !is_sparse, "{plan}");
        bench.ends(0, &[&choice[..], OFFLINE].concat());
        let text = bench.ends(0, &["trash", "purge", "--yes"]);
        let why = if is_sparse { "sparse" } else { "other hard links hold 20.000 MiB" };
        assert!(text.contains(why) && !text.contains("others wrote"), "{text}");
        assert_eq!(text.contains("at most"), !is_sparse, "{text}");
    }
}

/// A file system whose server never answers, as that of a machine that is off: whoever looks at it waits for ever.
struct Dead {
    server: Child,
    at: PathBuf,
}

impl Dead {
    /// `None` where nothing can be mounted.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let script = "exec 3<>/dev/fuse && \
            mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&at).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (line == "mounted\n").then_some(Self { server, at })
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.at).status().ok();
        // The kernel ends what waits when nobody serves any more.
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// What a command says that must not wait for a mount, and its exit code.
fn ends(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = bench.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_mins(1) {
            child.kill().unwrap();
            return (None, "it waited".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// The places at which a mount would be met by whoever looks at the trash.
const IN_THE_TRASH: [&str; 3] = [".regsql", ".regsql/trash", ".regsql/trash/2026-01-02T03-04-05Z"];

#[test]
fn a_mount_that_never_answers_stops_no_scan() {
    let elsewhere = ["backup of june", "old/copy", "docker/other", ".regsql/copies"];
    for place in elsewhere.into_iter().chain(IN_THE_TRASH) {
        let bench = Bench::of_sample();
        let Some(_dead) = Dead::mount(bench.root().join(place)) else {
            writeln!(stderr(), "skipped: nothing can be mounted here").unwrap();
            return;
        };
        let (code, text) = ends(&bench, &["scan", "registry"]);
        assert_eq!(code, Some(0), "{place}: {text}");
    }
}

#[test]
fn a_mount_that_never_answers_in_the_trash_is_named_by_whoever_needs_the_trash() {
    let delete = ["prune", "--garbage", "--delete", "--yes", "--offline", "--min-age=0s"];
    let at_once = [&delete[..], &["--no-trash"]].concat();
    let purge = ["trash", "purge", "--yes", "--offline"];
    for place in IN_THE_TRASH {
        let bench = Bench::of_sample();
        assert_eq!(ends(&bench, &["scan", "registry"]).0, Some(0));
        let before = bench.tree();
        let Some(dead) = Dead::mount(bench.root().join(place)) else {
            writeln!(stderr(), "skipped: nothing can be mounted here").unwrap();
            return;
        };
        for command in [&delete[..], &at_once, &purge, &["trash", "list"], &["undo"]] {
            let (code, text) = ends(&bench, command);
            let is_a_row = place.ends_with('Z') && command[0] == "trash";
            assert!(
                code == Some(2) || is_a_row && code.is_some(),
                "{command:?} {place}: {code:?} {text}"
            );
            assert!(
                text.contains("something is mounted at") && text.contains(place),
                "{command:?} {place}: {text}"
            );
        }
        drop(dead);
        before.assert_same(&bench.tree(), place);
    }
}
