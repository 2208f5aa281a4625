//! One step: a command of the configuration or regsql itself, with its limit and its place in log and
//! record.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::children;

use super::process::{Ended, Group};
use super::record::State;
use super::run::{PARENT_VARIABLE, Run};
use super::summary::{PruneFigures, StepReport, StepResult};
use crate::ui;

/// What a step that ended may take to hand over what it printed.
pub(super) const HAND_OVER: Duration = Duration::from_secs(10);
/// With less room than this beside the database's own size, the trash is purged before the scan.
const ROOM_BYTES: u64 = 16 << 20;

impl Run<'_> {
    /// Runs a step, writes down how it ended, and says whether it did its work.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Self) -> (StepResult, Option<String>),
    ) -> bool {
        self.keep(|state| state.step = name.into());
        let (started_at, began) = (Timestamp::now(), Instant::now());
        let (result, detail) = work(self);
        let duration_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let because = detail.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        self.say(&format!(
            "{name}: {} after {}{because}",
            result.as_str(),
            ui::duration_ms(duration_ms)
        ));
        self.steps.push(StepReport { step: name, started_at, duration_ms, result, detail });
        matches!(result, StepResult::Done | StepResult::Findings)
    }

    /// A step of a dry run: what it would do.
    pub(super) fn rehearsed(&mut self, name: &'static str, detail: String) {
        self.say(&format!("{name}: {detail}"));
        self.steps.push(StepReport {
            step: name,
            started_at: Timestamp::now(),
            duration_ms: 0,
            result: StepResult::Done,
            detail: Some(detail),
        });
    }

    pub(super) fn keep(&mut self, change: impl FnOnce(&mut State)) {
        // What fails here matters only if this process is killed as well.
        if let Err(error) = self.record.set(change) {
            self.say(&format!("the record cannot be written: {error}"));
        }
    }

    /// Runs a command of the configuration.
    pub(super) fn shell(
        &mut self,
        command: &str,
        limit: &str,
        can_stop: bool,
    ) -> (StepResult, Option<String>) {
        if can_stop && self.is_stopped() {
            return (StepResult::Interrupted, None);
        }
        self.say(&format!("running: {command}"));
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null());
        shell.stdout(self.job.log.stdio()).stderr(self.job.log.stdio());
        let limit = self.job.config.limit(limit);
        let ended = match Group::start(&mut shell) {
            Ok(group) => self.wait(group, limit, can_stop),
            Err(error) => Err(error),
        };
        match ended {
            Ok(Ended::Exit(status)) if status.success() => (StepResult::Done, None),
            Ok(Ended::Exit(status)) => {
                (StepResult::Failed, Some(format!("`{command}` failed with {status}")))
            }
            Ok(Ended::TimedOut) => (
                StepResult::TimedOut,
                Some(format!("`{command}` did not end within {limit:?} and was killed")),
            ),
            Ok(Ended::Stopped) => (StepResult::Interrupted, None),
            Err(error) => (StepResult::Failed, Some(format!("cannot run `{command}`: {error}"))),
        }
    }

    pub(super) fn wait(
        &mut self,
        group: Group,
        limit: Duration,
        can_stop: bool,
    ) -> std::io::Result<Ended> {
        let id = group.id();
        if let Err(error) = self.record.set_command(Some(id)) {
            self.say(&format!("the record cannot be written: {error}"));
        }
        let is_stopped = self.job.is_stopped;
        let ended = group.wait(limit, &|| can_stop && is_stopped());
        if let Err(error) = self.record.set_command(None) {
            self.say(&format!("the record cannot be written: {error}"));
        }
        ended
    }

    /// Runs regsql itself. What it prints goes to the log.
    pub(super) fn own_plain(
        &mut self,
        words: &[OsString],
        limit: &str,
    ) -> (std::io::Result<Ended>, Option<String>) {
        self.own::<()>(words, limit, None)
    }

    /// Runs regsql itself. What it prints as JSON goes to `json`, all else to the log.
    pub(super) fn own<T: DeserializeOwned + Send + 'static>(
        &mut self,
        words: &[OsString],
        limit: &str,
        json: Option<&mut Option<T>>,
    ) -> (std::io::Result<Ended>, Option<String>) {
        if self.is_stopped() {
            return (Ok(Ended::Stopped), None);
        }
        let job = self.job;
        self.say(&format!("running: {}", children::shown(words)));
        let limit = job.config.limit(limit);
        let mut command = own_command(job.program, job.database);
        command.args(words).stderr(Stdio::piped());
        command.stdout(if json.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut group = match Group::start(&mut command) {
            Ok(group) => group,
            Err(error) => {
                let detail = format!("cannot run regsql: {error}");
                return (Err(error), Some(detail));
            }
        };
        let (sender, result) = channel();
        if let Some(pipe) = group.child().stdout.take() {
            // A reader without a thread would be a step that hangs: it ends with the process.
            drop(std::thread::Builder::new().spawn(move || {
                let mut reader = BufReader::new(pipe);
                let parsed = serde_json::from_reader::<_, T>(&mut reader).ok();
                drop(std::io::copy(&mut reader, &mut std::io::sink()));
                drop(sender.send(parsed));
            }));
        }
        let (said_sender, said) = channel();
        if let Some(pipe) = group.child().stderr.take() {
            let mut log = job.log.raw();
            drop(std::thread::Builder::new().spawn(move || {
                let mut error = None;
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if let Some((_, text)) = line.split_once(" error: ") {
                        error.get_or_insert_with(|| text.to_owned());
                    }
                    // A full disk loses the line, and the step goes on.
                    drop(log.write_all(format!("{line}\n").as_bytes()));
                }
                drop(said_sender.send(error));
            }));
        }
        let ended = self.wait(group, limit, true);
        // First, so that the log has what the step said above how it ended.
        let error = said.recv_timeout(HAND_OVER).ok().flatten();
        if let Some(json) = json {
            *json = result.recv_timeout(HAND_OVER).ok().flatten();
        }
        let detail = match &ended {
            Ok(Ended::TimedOut) => Some(format!("it did not end within {limit:?} and was killed")),
            Ok(Ended::Exit(status)) => match status.code() {
                Some(0 | 1) => None,
                Some(code) => Some(error.unwrap_or_else(|| format!("exit code {code}"))),
                None => Some(status.to_string()),
            },
            Ok(Ended::Stopped) => None,
            Err(error) => Some(format!("cannot run regsql: {error}")),
        };
        (ended, detail)
    }

    /// Whether the database's disk has room for another one.
    pub(super) fn has_room(&self) -> bool {
        let database = self.job.database;
        let size_bytes = std::fs::metadata(database).map_or(0, |facts| facts.len());
        let directory = match database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let Ok(disk) = rustix::fs::statvfs(directory) else { return true };
        disk.f_bavail.saturating_mul(disk.f_frsize) > size_bytes.saturating_add(ROOM_BYTES)
    }
}

/// regsql itself, for a step.
pub(super) fn own_command(program: &Path, database: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--db").arg(database).stdin(Stdio::null());
    command.env("REGSQL_LOG_TIME", "always").env(PARENT_VARIABLE, std::process::id().to_string());
    command
}

/// What the end of a step of regsql means; `advice` is for a person when it did not do its work.
pub(super) fn result_of(
    ended: &std::io::Result<Ended>,
    detail: Option<String>,
    next: &mut Vec<String>,
    advice: &str,
) -> (StepResult, Option<String>) {
    let result = match ended {
        Ok(Ended::Exit(status)) => match status.code() {
            Some(0) => StepResult::Done,
            Some(1) => StepResult::Findings,
            Some(130) => StepResult::Interrupted,
            _ => StepResult::Failed,
        },
        Ok(Ended::TimedOut) => StepResult::TimedOut,
        Ok(Ended::Stopped) => StepResult::Interrupted,
        Err(_) => StepResult::Failed,
    };
    if matches!(result, StepResult::Failed | StepResult::TimedOut) {
        next.push(advice.to_owned());
    }
    if result == StepResult::TimedOut {
        next.push("if it needs more time, raise its limit in [limits]".into());
    }
    (result, detail)
}

/// What a plan takes, for the log.
pub(super) fn counted(figures: &PruneFigures) -> String {
    format!("{} ({})", figures.in_words(), bytes(figures.freed_bytes))
}

pub(super) fn bytes(count: u64) -> String {
    ui::bytes(count)
}
