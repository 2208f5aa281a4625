//! Debian's `PostgreSQL`: a server of its own for a test, reached through a socket in its directory.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::real::registry::missing;

/// A server that ends with the test.
pub struct Postgres {
    directory: tempfile::TempDir,
    server: Child,
}

/// The newest version's programs.
fn programs() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").unwrap_or_else(|error| missing("postgresql", &error));
    let version =
        versions.flatten().map(|entry| entry.path()).max().expect("a version of postgresql");
    version.join("bin")
}

/// A program of the server, which refuses to run as root.
fn as_owner(program: &str) -> Command {
    let path = programs().join(program);
    if !rustix::process::geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
    command
}

impl Postgres {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        if rustix::process::geteuid().is_root() {
            let passwd = fs::read_to_string("/etc/passwd").unwrap();
            let line = passwd.lines().find(|line| line.starts_with("postgres:")).unwrap();
            let ids: Vec<u32> =
                line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
            chown(&data, Some(ids[0]), Some(ids[1])).unwrap();
        }
        let made = as_owner("initdb")
            .args([
                "--auth=trust",
                "--no-sync",
                "--username=postgres",
                "--encoding=UTF8",
                "--no-locale",
                "--pgdata",
            ])
            .arg(&data)
            .current_dir(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = as_owner("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=8MB"])
            .current_dir(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { directory, server };
        let end = Instant::now() + Duration::from_secs(30);
        while !started.psql("postgres").arg("--command=SELECT 1").output().unwrap().status.success()
        {
            assert!(Instant::now() < end, "postgres does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        started
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(programs().join("psql"));
        command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "--username=postgres",
                "--host",
            ])
            .arg(self.directory.path().join("data"))
            .args(["--dbname", database]);
        command
    }

    /// Runs a script as people do, in a directory where `\copy` writes its files.
    pub fn run(&self, database: &str, script: &str, directory: &Path) {
        let mut psql = self.psql(database);
        let mut child = psql
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql: {error}\n{script}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The children of a server that is killed end by themselves.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
