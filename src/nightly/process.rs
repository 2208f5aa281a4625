//! A command with a time limit: it and all that it started end together.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often it is looked whether a command has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// From the request to end to the kill.
const GRACE: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exit(ExitStatus),
    /// It was ended after its time.
    TimedOut,
    /// It was ended because a person asked for it.
    Stopped,
}

/// A command that runs, in a process group of its own.
pub struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    /// Starts it. A signal of the terminal does not reach it.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = Pid::from_child(&child);
        Ok(Self { child, id })
    }

    /// Its number, which is that of its first process.
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end, at most for `limit`. What is left of the group then is killed. What a
    /// command that ends by itself left running, such as a server, goes on.
    pub fn wait(mut self, limit: Duration, is_stopped: &dyn Fn() -> bool) -> io::Result<Ended> {
        let end = Instant::now().checked_add(limit);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Ended::Exit(status));
            }
            let is_late = end.is_some_and(|end| Instant::now() >= end);
            if is_late || is_stopped() {
                self.end()?;
                return Ok(if is_late { Ended::TimedOut } else { Ended::Stopped });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn end(&mut self) -> io::Result<()> {
        signal(self.id, Signal::TERM)?;
        let end = Instant::now() + GRACE;
        while Instant::now() < end && self.child.try_wait()?.is_none() {
            std::thread::sleep(LOOK_EVERY);
        }
        signal(self.id, Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }
}

/// A group of which nothing is left is no error.
fn signal(group: Pid, signal: Signal) -> io::Result<()> {
    match kill_process_group(group, signal) {
        Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
        _ => Ok(()),
    }
}

/// Which process of this number it is: its start, in ticks since the machine's. Numbers are used
/// again.
pub fn started_ticks(id: i32) -> Option<u64> {
    // proc(5): the name, in parentheses, may hold anything; the 20th field after it.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Ends what a killed run left running. False when it was no longer there.
pub fn end_left(id: i32, ticks: u64) -> bool {
    let Some(group) = Pid::from_raw(id).filter(|_| started_ticks(id) == Some(ticks)) else {
        return false;
    };
    let end = Instant::now() + GRACE;
    let _gone = signal(group, Signal::TERM);
    while Instant::now() < end && is_running(id, ticks) {
        std::thread::sleep(LOOK_EVERY);
    }
    let _gone = signal(group, Signal::KILL);
    true
}

fn is_running(id: i32, ticks: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let is_dead = stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'));
    !is_dead && started_ticks(id) == Some(ticks)
}

/// In a command of a job: ends this process when the job's is killed, since then nothing ends it after
/// its time. `parent` is the number of the job's process.
pub fn end_with(parent: &str) {
    let _impossible = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    // It may have been killed before.
    let is_there = rustix::process::getppid().is_some_and(|id| id.to_string() == parent);
    if !is_there {
        let _gone = rustix::process::kill_process(rustix::process::getpid(), Signal::TERM);
    }
}
