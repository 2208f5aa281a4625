//! The one environment of tests that run the real program, and the one form of what it says: exit
//! code, standard output and standard error.
//!
//! Nothing of the environment that the tests run in reaches it but the path to other programs, and no
//! command may wait for input.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The program.
pub const REGSQL: &str = env!("CARGO_BIN_EXE_regsql");

/// Far more than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// regsql without arguments.
pub fn regsql() -> Command {
    program(REGSQL)
}

/// regsql in `directory`.
pub fn regsql_in(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = regsql();
    command.args(arguments).current_dir(directory);
    command
}

/// Another program, which finds regsql on its path.
pub fn program(name: &str) -> Command {
    let own = Path::new(REGSQL).parent().unwrap();
    let mut command = Command::new(name);
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
    command.env_clear().env("PATH", path).stdin(Stdio::null());
    // No test asks an address outside of this machine, which clients of clouds do without credentials.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A directory in memory where there is such a place, for tests that write thousands of files or wait for
/// the disk as often.
pub fn directory_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).unwrap()
}

/// A command of the shell on a terminal: `script` of bsdutils gives it one.
pub fn on_terminal(line: &str) -> Command {
    let mut command = program("script");
    command.args(["-q", "-e", "-c", line, "/dev/null"]);
    command
}

/// Exit code, standard output and standard error, as one text.
pub fn shown(output: &Output) -> String {
    let code = output.status.code().map_or("signal".into(), |code| code.to_string());
    let mut text = format!("exit {code}\n");
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            text = format!("{text}--- {name}\n{}", String::from_utf8_lossy(bytes));
        }
    }
    text
}

/// Standard output of a command that must succeed.
#[track_caller]
pub fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// How it ends within [`LIMIT`]. Output goes to files, so that none can block it.
#[track_caller]
pub fn ends_in_time(mut command: Command) -> Output {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let Some(status) = wait_until(&mut child, Instant::now() + LIMIT) else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("{command:?} does not end: {}", text_of(&mut stderr));
    };
    let (stdout, stderr) = (bytes_of(&mut stdout), bytes_of(&mut stderr));
    Output { status, stdout, stderr }
}

/// The status when it ends before that moment.
pub fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends Ctrl-C's signal, once the program has a handler for it.
pub fn interrupt(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let is_caught = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 1) != 0
    };
    while !is_caught() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let process = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
}

fn bytes_of(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn text_of(file: &mut File) -> String {
    String::from_utf8_lossy(&bytes_of(file)).into_owned()
}

/// Runs it and fails unless it ended as a program that works does, on this or on any input.
#[track_caller]
pub fn behaves(command: Command) -> Output {
    let told = format!("{command:?}");
    let output = ends_in_time(command);
    assert_well_behaved(&output, &told);
    output
}

/// It ended by itself with a code that the documentation knows, did not panic, and wrote text.
#[track_caller]
pub fn assert_well_behaved(output: &Output, told: &str) {
    let all = shown(output);
    assert!(matches!(output.status.code(), Some(0..=2)), "{told}: {all}");
    assert!(!all.contains("panicked"), "{told}: {all}");
    for bytes in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{told}: {error}"));
        let active = text.chars().find(|char| char.is_control() && *char != '\n');
        assert_eq!(active, None, "{told}: {all}");
    }
    // Whoever is refused is told something.
    let is_silent = output.stderr.is_empty() && output.status.code() == Some(2);
    assert!(!is_silent, "{told} fails without a word");
}
