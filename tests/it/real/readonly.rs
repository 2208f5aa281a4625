//! A scan leaves the storage as it was, and does not need to be able to change it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use walkdir::WalkDir;

use super::known::Known;
use super::layout::digest_of;
use super::snapshot::{Snapshot, run_scan};

#[test]
fn a_scan_leaves_every_path_byte_and_time_as_it_was() {
    let known = Known::full();
    let before = fingerprint(known.registry.beside());
    assert!(before.len() > 100, "{} paths", before.len());
    Snapshot::of(&known.registry.root());
    assert_eq!(fingerprint(known.registry.beside()), before);
}

#[test]
fn a_scan_of_a_storage_that_cannot_be_written_finds_the_same() {
    let mut known = Known::simple();
    known.registry.stop();
    let root = known.registry.root();
    let expected = Snapshot::of(&root).everything();
    assert_eq!(scan_without_rights(&root).everything(), expected);
    match scan_read_only_mount(&root) {
        Ok(snapshot) => assert_eq!(snapshot.everything(), expected),
        // Containers often forbid mounts. The scan above could not write either.
        Err(error) => writeln!(std::io::stderr(), "tried without a mount: {error}").unwrap(),
    }
}

/// Scans as a user who may read and not write.
fn scan_without_rights(root: &Path) -> Snapshot {
    let scan = ScanElsewhere::new();
    if is_root() {
        // Root may write everything, so become nobody.
        fs::set_permissions(scan.directory.path(), Permissions::from_mode(0o777)).unwrap();
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        scan.run(Command::new("setpriv").args(nobody).arg(&scan.program), root);
    } else {
        set_writable(root, false);
        scan.run(&mut Command::new(&scan.program), root);
        // Else the directory could not be removed.
        set_writable(root, true);
    }
    scan.snapshot()
}

/// Scans a mount that nobody may write, or says why there is none.
fn scan_read_only_mount(root: &Path) -> Result<Snapshot, String> {
    // In a namespace of its own, so that the mount ends with the process.
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(if is_root() { &["-m"] as &[_] } else { &["-r", "-m"] });
        let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
        command.args(["sh", "-c", &format!("{mount} && ! touch \"$1/x\" && {script}")]);
        command
    };
    let scan = ScanElsewhere::new();
    let tried = unshare("true").arg("sh").arg(root).output().unwrap();
    if !tried.status.success() {
        return Err(String::from_utf8_lossy(&tried.stderr).into_owned());
    }
    let mut command = unshare("exec \"$0\" --db \"$2\" scan \"$1\"");
    run_scan(command.args([scan.program.as_path(), root, &scan.db()]));
    Ok(scan.snapshot())
}

#[test]
fn config_file_and_inner_directory_name_the_same_storage() {
    let known = Known::simple();
    let root = known.registry.root();
    let everything = |storage: &Path| {
        let snapshot = Snapshot::of(storage);
        (snapshot.texts("SELECT root FROM scan_info"), snapshot.everything())
    };
    let expected = everything(&root);
    assert_eq!(everything(&known.registry.config()), expected);
    assert_eq!(everything(&root.join("docker/registry/v2")), expected);
}

/// The program and a database where another user may get at them.
struct ScanElsewhere {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl ScanElsewhere {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("regsql");
        fs::copy(crate::env::REGSQL, &program).unwrap();
        Self { directory, program }
    }

    fn db(&self) -> PathBuf {
        self.directory.path().join("registry.db")
    }

    fn run(&self, command: &mut Command, storage: &Path) {
        run_scan(command.arg("--db").arg(self.db()).arg("scan").arg(storage));
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.db())
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Every path below, with kind and mode, times, size, and what the file holds.
fn fingerprint(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    walk(directory, &mut |path, metadata| {
        let content =
            if metadata.is_file() { digest_of(&fs::read(path).unwrap()) } else { String::new() };
        let (mode, size) = (metadata.mode(), metadata.size());
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let line = format!("{mode:o} {size} {modified:?} {changed:?} {content}");
        found.insert(path.to_owned(), line);
    });
    found
}

fn set_writable(root: &Path, is_writable: bool) {
    walk(root, &mut |path, metadata| {
        let mode = metadata.mode();
        let mode = if is_writable { mode | 0o200 } else { mode & !0o222 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    });
}

fn walk(path: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in WalkDir::new(path) {
        let entry = entry.unwrap();
        visit(entry.path(), &entry.metadata().unwrap());
    }
}
