//! `regsql nightly` around a real `docker-registry`, through real stops and starts.

mod config;
mod failures;
mod full_disk;
mod killed;
mod whole;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use regsql::sample::RegistryBuilder;
use serde_json::Value;

use crate::env::{LIMIT, regsql_in, shown, wait_until};
use crate::real::http;
use crate::tree::Tree;

/// A host with a registry that serves, and commands that stop and start it.
struct Night {
    directory: tempfile::TempDir,
    address: SocketAddr,
}

/// What is in most files below `[prune]`.
const PRUNE: &str =
    "[prune]\nreports = [\"untagged-revisions\"]\ngarbage = true\nmin_age = \"0s\"\n";

/// The steps of a night with [`purged`], in their order.
const STEPS: [&str; 9] =
    ["scan", "plan", "downtime-begin", "stop", "prune", "purge", "start", "check", "downtime-end"];

/// A configuration that also purges the trash at once.
fn purged(text: &str) -> String {
    text.replace("garbage = true", "garbage = true\npurge_older_than = \"0s\"")
}

impl Night {
    /// A registry with three tags, an untagged image and an orphan blob.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let night = Self { address: free_address(), directory };
        Self::fill(&night.root());
        night.prepare();
        night
    }

    fn fill(root: &Path) {
        let mut registry = RegistryBuilder::new();
        let base = registry.layer("base", 50_000);
        for tag in ["1.0", "1.1", "1.2"] {
            let layer = registry.layer(tag, 30_000);
            registry.image("team/app").layers([&base, &layer]).push_tag(tag);
        }
        let old = registry.layer("old", 40_000);
        registry.image("team/app").layers([&base, &old]).push();
        registry.blob(vec![7; 4_000]);
        registry.write_to(root).unwrap();
    }

    /// Writes the scripts and starts the registry.
    fn prepare(&self) {
        let root = self.root();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n  maintenance:\n    readonly:\n      enabled: READONLY\nhttp:\n  addr: {}\n",
            root.display(),
            self.address
        );
        for (name, value) in [("config.yml", "false"), ("readonly.yml", "true")] {
            fs::write(self.path(name), config.replace("READONLY", value)).unwrap();
        }
        // A server that is left running in the background, as a start script leaves one.
        let start = "if ! kill -0 $(cat pid) 2>/dev/null; then\n\
            docker-registry serve ${1:-config.yml} >registry.log 2>&1 </dev/null & echo $! >pid\nfi\n";
        let stop = "kill $(cat pid) 2>/dev/null; while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done; true\n";
        fs::write(self.path("start"), start).unwrap();
        fs::write(self.path("stop"), stop).unwrap();
        assert!(self.shell("sh ./start").success());
        self.assert_serves();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The storage: on a disk of its own if there is one.
    fn root(&self) -> PathBuf {
        let disk = self.path("disk");
        if disk.exists() { disk.join("registry") } else { self.path("registry") }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn shell(&self, line: &str) -> std::process::ExitStatus {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.directory.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    }

    /// A file with commands that also say in `events` that they ran, each changed by `change`.
    fn write_config(&self, change: impl FnOnce(String) -> String) {
        let here = self.directory.path().display();
        let command =
            |name: &str, rest: &str| format!("cd {here} && echo {name} >>events && {rest}");
        let text = format!(
            "storage = \"registry\"\ndb = \"registry.db\"\n\
             [registry]\nurl = \"http://{}\"\nstop = \"{}\"\nstart = \"{}\"\n\
             [downtime]\nbegin = \"{}\"\nend = \"{}\"\n{PRUNE}\
             [check]\npull = 20\nwait = \"20s\"\n[limits]\nstep = \"50s\"\n\
             [output]\nlog = \"log\"\njson = \"last.json\"\nmetrics = \"regsql.prom\"\n",
            self.address,
            command("stop", "sh ./stop"),
            command("start", "sh ./start"),
            command("begin", "true"),
            command("end", "true"),
        );
        fs::write(self.path("night.toml"), change(text)).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        regsql_in(self.directory.path(), &[&["nightly", "--config", "night.toml"], more].concat())
    }

    /// Runs it; the commands' servers go on, so its output is not waited for.
    fn run(&self, more: &[&str]) -> Output {
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let mut command = self.command(more);
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let status = wait_until(&mut child, Instant::now() + LIMIT).unwrap_or_else(|| {
            child.kill().unwrap();
            panic!("nightly does not end: {}", self.text("log"));
        });
        Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }

    /// What a run that must end with `code` said, with its log.
    fn ends(&self, code: i32, more: &[&str]) -> String {
        let output = self.run(more);
        let text = format!("{}--- log\n{}", shown(&output), self.text("log"));
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    fn spawn(&self) -> Child {
        self.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn summary(&self) -> Value {
        serde_json::from_str(&self.text("last.json")).unwrap()
    }

    /// `step result` of each step in the summary.
    fn steps(&self) -> Vec<String> {
        let summary = self.summary();
        let steps = summary["steps"].as_array().unwrap().iter();
        steps
            .map(|step| {
                format!("{} {}", step["step"].as_str().unwrap(), step["result"].as_str().unwrap())
            })
            .collect()
    }

    /// What the commands wrote down, in one line.
    fn events(&self) -> String {
        self.text("events").lines().collect::<Vec<_>>().join(" ")
    }

    fn serves(&self) -> bool {
        http::request(self.address, "GET", "/v2/", &[], &[])
            .is_ok_and(|answer| answer.status == 200)
    }

    #[track_caller]
    fn assert_serves(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.serves() {
            assert!(
                Instant::now() < end,
                "the registry does not serve: {}",
                self.text("registry.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every tag comes whole from the registry, by a look of the tests' own.
    #[track_caller]
    fn assert_whole(&self) {
        self.assert_serves();
        for tag in ["1.0", "1.1", "1.2"] {
            let get = |path: &str| {
                let accept = [("Accept", crate::real::registry::MANIFEST_TYPES)];
                let answer = http::request(self.address, "GET", path, &accept, &[]).unwrap();
                assert_eq!(answer.status, 200, "{path}");
                answer.body
            };
            let manifest = get(&format!("/v2/team/app/manifests/{tag}"));
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            for layer in manifest["layers"].as_array().unwrap() {
                let digest = layer["digest"].as_str().unwrap();
                let body = get(&format!("/v2/team/app/blobs/{digest}"));
                assert_eq!(crate::real::layout::digest_of(&body), digest);
            }
        }
    }

    fn tree(&self) -> Tree {
        Tree::of_registry(&self.root())
    }

    /// Bytes of layers and blobs that nothing needs are gone.
    fn is_pruned(&self) -> bool {
        let text = self.report("orphan-blobs") + &self.report("untagged-revisions");
        text.lines().count() == 2
    }

    fn report(&self, name: &str) -> String {
        let db = self.path("look.db");
        let arguments = ["--db", db.to_str().unwrap(), "-q"];
        let root = self.root();
        let scan = [&arguments[..], &["scan", root.to_str().unwrap()]].concat();
        crate::env::stdout(&mut regsql_in(self.directory.path(), &scan));
        let report = [&arguments[..], &["report", name, "--format", "csv"]].concat();
        crate::env::stdout(&mut regsql_in(self.directory.path(), &report))
    }
}

impl Drop for Night {
    fn drop(&mut self) {
        // Also servers of which a killed run left no number: each works in this directory.
        self.shell(
            "for p in /proc/[0-9]*; do case \"$(readlink $p/cwd) $(cat $p/comm)\" in \
             \"$PWD docker-registry\") kill -9 ${p#/proc/} ;; esac; done",
        );
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
