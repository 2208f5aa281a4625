//! What a run leaves for the next one when it is killed, and the lock against a second run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::started_ticks;

/// The file has one size, so that a full disk can take each new content.
const FILE_BYTES: usize = 1024;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The run's process.
    pub pid: u32,
    /// When it began (RFC 3339, UTC).
    pub started_at: String,
    /// The step that runs; empty when none does.
    pub step: String,
    /// The registry was to be stopped or made read-only, and does not yet serve again.
    pub is_down: bool,
    /// A downtime was to begin, and has not ended.
    pub is_announced: bool,
    /// The first process of the command that runs.
    pub command_pid: Option<i32>,
    /// Its start, in ticks since that of the machine.
    pub command_started_ticks: Option<u64>,
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A second run.
    #[error("another nightly job{} is running with the database `{}`", shown(.0.as_ref()), .1.display())]
    Runs(Option<State>, PathBuf),
    /// The file cannot be used.
    #[error("cannot write `{}`", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

fn shown(state: Option<&State>) -> String {
    match state {
        Some(state) => format!(" (process {}, since {})", state.pid, state.started_at),
        None => String::new(),
    }
}

impl RecordError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Runs(..) => "wait for its end; its log says what it is doing".into(),
            Self::Write(..) => "the database's directory must be writable".into(),
        }
    }
}

/// The record beside a database, locked for as long as this is kept.
#[derive(Debug)]
pub struct Record {
    file: Option<File>,
    /// What is in it.
    pub state: State,
}

impl Record {
    /// Takes the lock. Gives what a killed run left, too.
    ///
    /// # Errors
    /// When another run has the lock, or there is no place for a record.
    pub fn take(database: &Path) -> Result<(Self, Option<State>), RecordError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".nightly");
        let path = PathBuf::from(path);
        let write = |source| RecordError::Write(path.clone(), source);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = match file {
            Ok(file) => file,
            // A disk without room for a file: this very job may free it.
            Err(error) if is_full(&error) => {
                return Ok((Self { file: None, state: State::default() }, None));
            }
            Err(error) => return Err(write(error)),
        };
        let is_ours = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(write(error)),
        };
        let mut text = String::new();
        let read = file.by_ref().take(FILE_BYTES as u64).read_to_string(&mut text);
        let found: Option<State> =
            read.ok().and_then(|_| serde_json::from_str(text.trim_end()).ok());
        if !is_ours {
            return Err(RecordError::Runs(found, database.to_owned()));
        }
        let left = match found {
            Some(state) => (!state.step.is_empty()).then_some(state),
            None if text.trim().is_empty() => None,
            // Half a record: a run was killed while it wrote it, perhaps while the registry was down.
            None => Some(State {
                step: "unknown".into(),
                is_down: true,
                is_announced: true,
                ..State::default()
            }),
        };
        Ok((Self { file: Some(file), state: State::default() }, left))
    }

    /// None, for a run that changes nothing.
    pub fn none() -> Self {
        Self { file: None, state: State::default() }
    }

    /// Whether a kill of this run will be noticed by the next one.
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Changes the record on disk. Gives what failed.
    pub fn set(&mut self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        change(&mut self.state);
        let Some(file) = &self.file else { return Ok(()) };
        let mut bytes = serde_json::to_vec(&self.state)?;
        bytes.resize(FILE_BYTES.max(bytes.len()), b' ');
        file.write_all_at(&bytes, 0)?;
        file.sync_data()
    }

    /// The command that runs now, or none.
    pub fn set_command(&mut self, id: Option<i32>) -> io::Result<()> {
        self.set(|state| {
            state.command_pid = id;
            state.command_started_ticks = id.and_then(started_ticks);
        })
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
