//! Runs the console blocks of a page on the sample registry, and compares what is printed there.
//!
//! A block fenced as `sql` becomes the file `query.sql`; in one fenced as `console`, `$ ` begins a
//! command for the shell, and the lines up to the next one are what it prints on a terminal of
//! [`COLUMNS`] columns. `REGSQL_UPDATE=1` writes what was printed into the page.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::env::on_terminal;

/// Wide enough for most tables, narrow enough for a page.
const COLUMNS: &str = "96";
/// The time of the sample's story, which is also the time of its last scan.
const NOW: &str = "2026-01-31T12:00:00Z";
/// The same in nanoseconds.
const NOW_NS: i64 = 1_769_860_800_000_000_000;
const WEEK_NS: i64 = 7 * 86_400_000_000_000;

/// A disk of its own, which no other program writes to and on which the sample's layers are not sparse.
const DISK: &str = "
    UPDATE storage SET disk_bytes = 10 << 30, disk_used_bytes = 9 << 30, disk_free_bytes = 1 << 30;
    UPDATE used_space SET disk_bytes = (size_bytes + 4095) / 4096 * 4096 WHERE what IN ('blobs', 'uploads');
    UPDATE used_space SET disk_bytes = item_count * 4096 WHERE what IN ('links', 'directories');";

/// What came last into the sample: a scan before it and one after it make a history.
const LATECOMERS: [&str; 2] = [
    "repositories/ci",
    "blobs/sha256/d0/d064842c97f6f471a52677fe0ed838dbc4c87e865f043c1ab87c3c8cca316284",
];

/// A directory with the demo in `regsql-demo`, and everything in it made the same on each run.
pub struct Demo {
    directory: tempfile::TempDir,
}

impl Demo {
    pub fn new() -> Self {
        let demo = Self { directory: tempfile::tempdir().unwrap() };
        demo.succeed("regsql -q demo > demo.txt");
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
        std::os::unix::fs::symlink(policies, demo.path("policies")).unwrap();
        let database = demo.database();
        // The history is to have a scan without what came last, and one with it.
        fs::remove_file(&database).unwrap();
        let v2 = demo.path("regsql-demo/registry/docker/registry/v2");
        for (at, late) in LATECOMERS.iter().enumerate() {
            fs::rename(v2.join(late), demo.path(&at.to_string())).unwrap();
        }
        demo.succeed("regsql -q scan regsql-demo/registry");
        for (at, late) in LATECOMERS.iter().enumerate() {
            fs::rename(demo.path(&at.to_string()), v2.join(late)).unwrap();
        }
        demo.succeed("regsql -q scan regsql-demo/registry");
        let statements = format!(
            "UPDATE scan SET root = '/srv/registry', finished_ns = {NOW_NS}, duration_ms = 42,
                started_ns = {NOW_NS} - 42000000;
            UPDATE past_scan SET root = '/srv/registry', duration_ms = 42,
                finished_ns = {NOW_NS} - (2 - scan_number) * {WEEK_NS},
                started_ns = {NOW_NS} - (2 - scan_number) * {WEEK_NS} - 42000000;
            {DISK}"
        );
        Connection::open(database).unwrap().execute_batch(&statements).unwrap();
        demo
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub fn database(&self) -> PathBuf {
        self.path("regsql-demo/registry.db")
    }

    fn succeed(&self, command: &str) {
        drop(self.terminal(command));
    }

    /// What a command prints on a terminal.
    fn terminal(&self, command: &str) -> String {
        let output = on_terminal(command)
            .current_dir(self.directory.path())
            .env("SHELL", "/bin/sh")
            .env("COLUMNS", COLUMNS)
            .env("NO_COLOR", "1")
            .env("REGSQL_DB", "regsql-demo/registry.db")
            .env("REGSQL_NOW", NOW)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "`{command}` failed:\n{printed}");
        let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// Runs every console block of the page at `path` and compares, or writes the page anew.
pub fn check(path: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let page = fs::read_to_string(&file).unwrap();
    let fresh = rerun(&Demo::new(), &page);
    if std::env::var_os("REGSQL_UPDATE").is_some() {
        fs::write(&file, &fresh).unwrap();
    } else if page != fresh {
        let differs = page.lines().zip(fresh.lines()).find(|(old, new)| old != new);
        panic!(
            "{path} is stale: run `REGSQL_UPDATE=1 cargo test --test it` and look at the \
             difference; the first is {differs:#?}"
        );
    }
}

/// The page with what its commands print now.
fn rerun(demo: &Demo, page: &str) -> String {
    let mut fresh = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        fresh.push_str(line);
        fresh.push('\n');
        let block = match line {
            "```sql" | "```console" => lines.by_ref().take_while(|line| *line != "```"),
            _ => continue,
        };
        let block: Vec<&str> = block.collect();
        if line == "```sql" {
            let query = block.join("\n") + "\n";
            fs::write(demo.path("query.sql"), &query).unwrap();
            fresh.push_str(&query);
        } else {
            let commands: Vec<&str> =
                block.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
            assert!(!commands.is_empty(), "a console block without a command: {block:?}");
            let shown: Vec<String> = commands
                .iter()
                .map(|command| match demo.terminal(command) {
                    printed if printed.is_empty() => format!("$ {command}\n"),
                    printed => format!("$ {command}\n{printed}\n"),
                })
                .collect();
            fresh.push_str(&shown.join("\n"));
        }
        fresh.push_str("```\n");
    }
    fresh
}
