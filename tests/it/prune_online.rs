//! `regsql prune` for who runs a registry: beside pushes, at night, through the API; and what it
//! does with input that makes no sense.

mod around;
mod bad_input;
mod beside;
mod caches;
mod disks;
mod full_disk;
mod late;
mod modes;
mod shared;
mod space;
mod through_api;
pub mod writers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regsql::sample::RegistryBuilder;
use serde_json::Value;

use crate::env::shown;
use crate::real::registry::Registry;
use crate::tree::Tree;

/// What goes: the untagged image of [`sample`] and its orphan blob. All of it was just written.
const GARBAGE: &[&str] = &["prune", "untagged-revisions", "--garbage", "--min-age", "0s"];

const OFFLINE: &[&str] = &["--offline", "--delete", "--yes"];

/// Two tagged images, an untagged one with a layer of its own, and an orphan blob.
fn sample() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 5_000);
    let [one, two, old] = ["one", "two", "old"].map(|name| registry.layer(name, 3_000));
    registry.image("team/app").layers([&base, &one]).push_tags(["1.0", "stable"]);
    registry.image("team/app").layers([&base, &two]).push_tag("1.1");
    registry.image("team/app").layers([&base, &old]).push();
    registry.image("tool/cli").layers([&base]).push_tag("v1");
    registry.blob(vec![7; 4_000]);
    registry
}

/// A database for a registry's storage, and the real binary run on both.
struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// Scans the storage at `root`.
    fn of(root: &Path) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap() };
        bench.done(&["scan", root.to_str().unwrap()]);
        bench
    }

    /// A storage made in code (see [`sample`]) and scanned.
    fn of_sample() -> Self {
        Self::of_registry(&sample())
    }

    /// A storage made in code and scanned.
    fn of_registry(registry: &RegistryBuilder) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap() };
        registry.write_to(&bench.root()).unwrap();
        bench.done(&["scan", "registry"]);
        bench
    }

    /// The storage of [`Self::of_sample`].
    fn root(&self) -> PathBuf {
        self.path("registry")
    }

    fn tree(&self) -> Tree {
        Tree::of_registry(&self.root())
    }

    /// Prunes [`GARBAGE`] of a storage that nothing writes to, with more arguments.
    fn prune(&self, code: i32, more: &[&str]) -> String {
        self.ends(code, &[GARBAGE, OFFLINE, more].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// regsql in a directory of its own, with nothing else in its environment.
    fn command(&self, arguments: &[&str]) -> Command {
        crate::env::regsql_in(self.directory.path(), arguments)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Exit code, standard output and standard error of what must end with `code`.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// Standard output of what must succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The JSON that a command prints, whose exit code is 0 or 1.
    fn json(&self, arguments: &[&str]) -> (Value, String) {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let is_fine = matches!(output.status.code(), Some(0 | 1));
        assert!(is_fine, "{arguments:?}: {}", shown(&output));
        let document = serde_json::from_slice(&output.stdout).unwrap();
        (document, String::from_utf8(output.stderr).unwrap())
    }
}

/// Where a registry answers.
fn url(registry: &Registry) -> String {
    format!("http://{}", registry.address())
}
