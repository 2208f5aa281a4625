//! `verify`: what it finds, what it remembers, and how it is stopped and gone on with.

mod content;
mod findings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regsql::sample::{Descriptor, RegistryBuilder, paths};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::env::shown;

/// Two images that share a base layer, and one that does not.
pub struct Storage {
    directory: TempDir,
    /// Of team/app:1.0 and team/app:1.1.
    pub base: Descriptor,
    /// Of team/app:1.0 alone.
    pub own: Descriptor,
    /// Of tool/cli:1 alone.
    pub tool: Descriptor,
}

impl Storage {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With what `add` puts in as well.
    pub fn with(add: impl FnOnce(&mut RegistryBuilder)) -> Self {
        let mut registry = RegistryBuilder::new();
        let base = registry.layer("base", 50_000);
        let own = registry.layer("1.0", 20_000);
        registry.image("team/app").layers([&base, &own]).push_tag("1.0");
        let newer = registry.layer("1.1", 20_000);
        registry.image("team/app").layers([&base, &newer]).push_tag("1.1");
        let tool = registry.layer("tool", 10_000);
        registry.image("tool/cli").layers([&tool]).push_tag("1");
        add(&mut registry);
        let directory = tempfile::tempdir().unwrap();
        registry.write_to(&directory.path().join("registry")).unwrap();
        let storage = Self { directory, base, own, tool };
        let output = storage.command(&["scan"]).arg(storage.root()).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        storage
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    pub fn data(&self, blob: &Descriptor) -> PathBuf {
        self.root().join(paths::blob(&blob.digest))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::env::regsql_in(self.directory.path(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output and standard error of a command that ends with `code`.
    #[track_caller]
    pub fn ends(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub fn database(&self) -> Connection {
        Connection::open(self.directory.path().join("registry.db")).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn count(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Blobs whose content was found right.
    pub fn verified(&self) -> i64 {
        self.count("SELECT count(*) FROM blobs WHERE verified_at IS NOT NULL")
    }

    pub fn present(&self) -> i64 {
        self.count("SELECT count(*) FROM blobs WHERE is_present = 1")
    }

    /// Flips one bit in the middle of a file, as a disk does.
    pub fn flip_a_bit(&self, blob: &Descriptor) {
        let mut bytes = fs::read(self.data(blob)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(self.data(blob), bytes).unwrap();
    }
}

/// The findings of `verify --format json`.
pub fn rows(json: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(json).unwrap()
}
