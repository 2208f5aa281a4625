//! Faults of the machine: disks that fail or are full, processes that are killed or meet each other,
//! clocks that jump, databases with a bit that flipped. Nothing is lost, and whoever is refused is
//! told why.

mod clock;
mod database;
mod full;
mod killed;
mod reading;
mod together;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regsql::sample::RegistryBuilder;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::env::shown;
use crate::env::{behaves, regsql_in};
use crate::tree::Tree;

/// A registry on disk with some garbage, and its database beside it.
struct Machine {
    directory: TempDir,
}

impl Machine {
    /// `repositories` with as many images, half of them tagged; each has two layers of its own.
    fn new(repositories: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        registry(repositories).write_to(&directory.path().join("registry")).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn root(&self) -> PathBuf {
        self.path().join("registry")
    }

    fn database(&self) -> PathBuf {
        self.path().join("registry.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        regsql_in(self.path(), arguments)
    }

    /// Output of a command that does not fail.
    #[track_caller]
    fn works(&self, arguments: &[&str]) -> Output {
        let output = behaves(self.command(arguments));
        assert_ne!(output.status.code(), Some(2), "{arguments:?}: {}", shown(&output));
        output
    }

    /// The registry, without what is regsql's own.
    fn tree(&self) -> Tree {
        Tree::of_registry(&self.root())
    }

    /// Puts back every run in the trash, as a person would after a crash.
    fn undo_all(&self) {
        let runs = self.root().join(".regsql/trash");
        let Ok(entries) = fs::read_dir(&runs) else { return };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // The newest first: an older one may have made room for it.
        let mut names: Vec<String> = names.collect();
        names.sort();
        for name in names.iter().rev() {
            self.works(&["undo", name]);
        }
    }

    /// SQLite finds nothing wrong with the database.
    #[track_caller]
    fn assert_database_is_whole(&self) {
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.database(), read_only).unwrap();
        let answer: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(answer, "ok");
    }
}

fn registry(repositories: usize) -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 3_000);
    for repository in 0..repositories {
        let repository = format!("team/app{repository}");
        let mut tagged = None;
        for image in 0..repositories {
            let own = registry.layer(&format!("{repository} {image}"), 200);
            let more = registry.layer(&format!("{repository} {image} more"), 100);
            let builder = registry.image(&repository).layers([&base, &own, &more]);
            // Every other one is pushed with the tag of the one before it, and the tag moved back.
            let tag = format!("1.{}", image / 2 * 2);
            let pushed = builder.push_tag(&tag);
            if image % 2 == 0 {
                tagged = Some(pushed.digest);
            } else if let Some(digest) = &tagged {
                registry.tag(&repository, &tag, digest);
            }
        }
    }
    registry.layer("orphan", 500);
    registry
}

/// Arguments that delete all that nobody needs.
const PRUNE: &[&str] = &[
    "prune",
    "--garbage",
    "untagged-revisions",
    "--trust-storage",
    "--min-age",
    "0s",
    "--max-delete-percent",
    "100",
    "--delete",
    "--offline",
    "--yes",
];

/// Names in a plan's JSON.
fn names_in(plan: &[u8]) -> BTreeSet<String> {
    let plan: serde_json::Value = serde_json::from_slice(plan).unwrap();
    plan["items"].as_array().unwrap().iter().map(ToString::to_string).collect()
}
