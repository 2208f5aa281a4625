//! `regsql serve` on a free loopback port.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use regsql::sample::RegistryBuilder;

use super::promtool::series;
use crate::real::http::{self, Answer};

/// A running exporter. Dropped, it is killed.
pub struct Exporter {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Exporter {
    /// Starts `regsql serve` with `arguments` in `directory`, and waits until it listens.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", directory, arguments)
    }

    /// The same on an address.
    pub fn start_on(address: &str, directory: &Path, arguments: &[&str]) -> Self {
        let log = directory.join("serve.log");
        let child = crate::env::regsql()
            .current_dir(directory)
            .args(["serve", "--listen", address])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut exporter = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        exporter.address = wait_for("the exporter to listen", || {
            let log = exporter.log();
            let (_, rest) = log.split_once("listening on http://")?;
            rest.split('/').next()?.parse().ok()
        });
        exporter
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        http::request(self.address, method, path, headers, &[])
            .unwrap_or_else(|error| panic!("{method} {path}: {error}; log:\n{}", self.log()))
    }

    /// `GET`s a text.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask("GET", path, &[]);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// The value of a series now.
    pub fn value(&self, name: &str) -> Option<f64> {
        series(&self.get("/metrics").1).get(name).copied()
    }

    /// Waits until a series satisfies `is_met`.
    pub fn wait_until(&self, name: &str, is_met: impl Fn(f64) -> bool) {
        wait_for(name, || self.value(name).filter(|value| is_met(*value)));
    }

    /// Waits until there is a snapshot.
    pub fn wait_until_ready(&self) {
        wait_for("readiness", || (self.get("/readyz").0 == 200).then_some(()));
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        wait_for("the end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What `look` gives as soon as it gives something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A small registry in a directory of its own, as `registry`.
pub fn storage() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    push(&directory.path().join("registry"), &["1.0", "1.1"]);
    directory
}

/// Adds images to the storage at `root`.
pub fn push(root: &Path, tags: &[&str]) {
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 5_000);
    for tag in tags {
        let own = registry.layer(tag, 2_000);
        registry.image("team/app").layers([&base, &own]).push_tag(tag);
    }
    registry.write_to(root).unwrap();
}
