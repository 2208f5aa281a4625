//! File systems with rules of their own: layers that rename no directory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use regsql::sample::RegistryBuilder;

use super::{Bench, OFFLINE};
use crate::env::shown;
use crate::tree::Tree;

const GARBAGE: &[&str] = &["prune", "--garbage", "--min-age", "0s", "--max-delete-percent", "100"];

const MIB: u64 = 1 << 20;

/// Unmounts what was mounted, also when a test fails.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// `None`, with the reason on standard error, where that cannot be mounted.
fn mount(kind: &str, options: &str, at: &Path) -> Option<Mounted> {
    fs::create_dir_all(at).unwrap();
    let output = Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(at).output();
    let output = output.unwrap();
    if output.status.success() {
        return Some(Mounted(at.to_owned()));
    }
    let reason = shown(&output);
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped: no {kind} can be mounted here: {reason}").unwrap();
    None
}

/// A tag, and garbage of 8 and of 3 MiB.
fn registry() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 50_000);
    registry.image("team/app").layers([&layer]).push_tag("1.0");
    registry.blob(vec![8; 8 * MIB as usize]);
    registry.blob(vec![3; 3 * MIB as usize]);
    registry
}

#[test]
fn a_layered_file_system_that_renames_no_directory_is_one_error_and_works_without_a_trash() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    registry().write_to(&path("image")).unwrap();
    // The upper layer cannot lie on such a file system itself.
    let Some(_upper) = mount("tmpfs", "size=64m", &path("upper")) else {
        return;
    };
    for name in ["upper/changes", "upper/work"] {
        fs::create_dir(path(name)).unwrap();
    }
    let [lower, upper, work] =
        ["image", "upper/changes", "upper/work"].map(|name| path(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off");
    let Some(_overlay) = mount("overlay", &options, &path("registry")) else {
        return;
    };
    let bench = Bench::of(&path("registry"));
    let before = Tree::of_registry(&path("registry"));
    let message = bench.ends(2, &[GARBAGE, OFFLINE].concat());
    assert_eq!(message.matches("error:").count(), 1, "{message}");
    assert!(message.contains("--no-trash deletes at once and needs no rename"), "{message}");
    before.assert_same(&Tree::of_registry(&path("registry")), "after a refusal");
    bench.ends(0, &[GARBAGE, OFFLINE, &["--no-trash"]].concat());
    bench.done(&["scan", path("registry").to_str().unwrap()]);
    let left = bench.done(&["sql", "SELECT count(*) AS n FROM orphan_blobs", "--format", "csv"]);
    assert!(left.contains("\n0"), "{left}");
    assert!(bench.run(&["verify"]).status.success());
}
