//! Rules of retention: each test is a registry before, a rule, and the registry after.

mod images;
mod notifications;
mod policies;
mod properties;
mod pulls;
mod standing;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use regsql::sample::RegistryBuilder;
use tempfile::TempDir;

/// A registry on disk with a database beside it.
pub struct Registry {
    directory: TempDir,
}

/// One moment for a whole test.
static NOW: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// So many days ago.
pub fn days_ago(days: u64) -> SystemTime {
    *NOW - Duration::from_hours(24 * days)
}

impl Registry {
    pub fn of(registry: &RegistryBuilder) -> Self {
        let new = Self { directory: crate::env::directory_in_memory() };
        registry.write_to(&new.root()).unwrap();
        new.stdout(&["scan", "registry"]);
        new
    }

    pub fn root(&self) -> PathBuf {
        self.path("registry")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crate::env::regsql();
        command
            .args(["--db", "registry.db"])
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a run that must end with 0.
    #[track_caller]
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?}: {error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn stderr(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stderr).unwrap()
    }

    pub fn rows(&self, sql: &str) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.stdout(&["-q", "sql", sql, "-f", "json"])).unwrap()
    }

    /// `repository:tag` of all tags.
    pub fn tags(&self) -> BTreeSet<String> {
        self.names("SELECT repository || ':' || tag AS name FROM tags")
    }

    pub fn names(&self, sql: &str) -> BTreeSet<String> {
        self.rows(sql).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    /// `tag` of the rows that a report names, in order.
    #[track_caller]
    pub fn selected(&self, report: &[&str]) -> Vec<String> {
        let text = self.stdout(&[&["-q", "report"], report, &["-f", "json"]].concat());
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        rows.iter().map(|row| row["tag"].as_str().unwrap_or("").to_owned()).collect()
    }

    /// Prunes for good, and scans again.
    #[track_caller]
    pub fn prune(&self, arguments: &[&str]) -> String {
        let acting = [
            "--min-age=0s",
            "--max-delete-percent=100",
            "--delete",
            "--offline",
            "--yes",
            "--no-trash",
        ];
        let output = self.run(&[&["prune"], arguments, &acting].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {error}", output.status);
        self.stdout(&["scan", "registry"]);
        error
    }
}

/// Images of one repository: each with its tags, pushed a day after the one before.
pub fn images(registry: &mut RegistryBuilder, repository: &str, tags: &[&[&str]]) {
    for (number, tags) in tags.iter().enumerate() {
        registry.at(days_ago(100 - number as u64));
        let layer = registry.layer(&format!("{repository}{number}"), 1_000);
        registry
            .image(repository)
            .layers([&layer])
            .label("number", &number.to_string())
            .push_tags(tags.iter().copied());
    }
}
