//! How a command ends: an outcome, or an error with the next step, and the exit code of each.

use std::io;

use crate::check::CheckError;
use crate::db::DatabaseError;
use crate::export::ExportError;
use crate::lake::LakeError;
use crate::nightly::{ConfigError, LogError, RecordError};
use crate::prune::{AuthorityError, DocumentError, ProtectError};
use crate::pulls::PullsError;
use crate::registry::delete::Stop;
use crate::registry::{GateError, RegistryError};
use crate::report::{CatalogError, ParamError, QueryError, RunError};
use crate::serve::ServeError;
use crate::snapshot::ScanError;
use crate::storage::LocateError;
use crate::trash::TrashError;
use crate::why::WhyError;

/// A command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// It found what it was to look for, or left something out: exit code 1.
    Findings,
}

/// A command that did not.
#[derive(Debug)]
pub struct Error {
    cause: anyhow::Error,
    hints: Vec<String>,
}

/// A person stopped the command: what that leaves.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Stopped(String);

/// What a command gives.
pub type Result<T = Outcome> = std::result::Result<T, Error>;

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self { cause: error.into(), hints: Vec::new() }
    }
}

impl Error {
    /// An error with nothing behind it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { cause: anyhow::Error::msg(message.into()), hints: Vec::new() }
    }

    /// A person stopped it; `left` says what that leaves.
    pub fn stopped(left: impl Into<String>) -> Self {
        Self { cause: Stopped(left.into()).into(), hints: Vec::new() }
    }

    /// The same, with a next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The message and its causes, outermost first.
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = Vec::new();
        for message in self.cause.chain().map(ToString::to_string) {
            // A transparent wrapper repeats what it wraps.
            if messages.last() != Some(&message) {
                messages.push(message);
            }
        }
        messages
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = self.hints.clone();
        hints.extend(self.cause.chain().find_map(hint_of));
        hints
    }

    /// The reader of our output is gone: it has what it wants.
    pub fn is_closed_pipe(&self) -> bool {
        self.cause.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }

    /// A person stopped it.
    pub fn is_interrupted(&self) -> bool {
        self.cause.chain().any(|cause| {
            cause.is::<Stopped>()
                || matches!(cause.downcast_ref(), Some(QueryError::Interrupted))
                || matches!(cause.downcast_ref(), Some(RunError::Query(QueryError::Interrupted)))
                || matches!(cause.downcast_ref(), Some(CheckError::Stopped { .. }))
                || matches!(cause.downcast_ref(), Some(LakeError::Stopped))
        })
    }
}

/// The hint of a library error. A new error type with a hint adds a line here.
fn hint_of(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    None.or_else(|| cause.downcast_ref::<DatabaseError>().and_then(DatabaseError::hint))
        .or_else(|| cause.downcast_ref::<ScanError>().and_then(ScanError::hint))
        .or_else(|| cause.downcast_ref::<CheckError>().and_then(CheckError::hint))
        .or_else(|| cause.downcast_ref::<CatalogError>().and_then(CatalogError::hint))
        .or_else(|| cause.downcast_ref::<ParamError>().and_then(ParamError::hint))
        .or_else(|| cause.downcast_ref::<QueryError>().and_then(QueryError::hint))
        .or_else(|| cause.downcast_ref::<WhyError>().and_then(WhyError::hint))
        .or_else(|| cause.downcast_ref::<LocateError>().and_then(LocateError::hint))
        .or_else(|| cause.downcast_ref::<DocumentError>().and_then(DocumentError::hint))
        .or_else(|| cause.downcast_ref::<ProtectError>().and_then(ProtectError::hint))
        .or_else(|| cause.downcast_ref::<AuthorityError>().and_then(AuthorityError::hint))
        .or_else(|| cause.downcast_ref::<PullsError>().and_then(PullsError::hint))
        .or_else(|| cause.downcast_ref::<TrashError>().and_then(TrashError::hint))
        .or_else(|| cause.downcast_ref::<RegistryError>().and_then(RegistryError::hint))
        .or_else(|| cause.downcast_ref::<GateError>().and_then(GateError::hint))
        .or_else(|| cause.downcast_ref::<Stop>().and_then(Stop::hint))
        .or_else(|| cause.downcast_ref::<ExportError>().and_then(ExportError::hint))
        .or_else(|| cause.downcast_ref::<ConfigError>().and_then(ConfigError::hint))
        .or_else(|| cause.downcast_ref::<RecordError>().map(RecordError::hint))
        .or_else(|| cause.downcast_ref::<LogError>().map(LogError::hint))
        .or_else(|| cause.downcast_ref::<LakeError>().and_then(LakeError::hint))
        .or_else(|| cause.downcast_ref::<ServeError>().and_then(ServeError::hint))
        .or_else(|| match cause.downcast_ref() {
            Some(RunError::Query(error)) => error.hint(),
            _ => None,
        })
}

/// The exit code of every way to end.
pub fn exit_code(result: &Result) -> u8 {
    match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Findings) => 1,
        Err(error) if error.is_closed_pipe() => 0,
        Err(error) if error.is_interrupted() => 130,
        Err(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_has_its_exit_code() {
        let closed = RunError::Write(io::ErrorKind::BrokenPipe.into());
        assert_eq!(exit_code(&Ok(Outcome::Done)), 0);
        assert_eq!(exit_code(&Ok(Outcome::Findings)), 1);
        assert_eq!(exit_code(&Err(closed.into())), 0);
        assert_eq!(exit_code(&Err(RunError::from(QueryError::Interrupted).into())), 130);
        assert_eq!(exit_code(&Err(Error::stopped("stopped"))), 130);
        assert_eq!(exit_code(&Err(Error::new("no"))), 2);
    }

    #[test]
    fn a_hint_is_found_behind_its_causes() {
        let error = Error::from(RunError::from(QueryError::Several("the query".into())));
        assert_eq!(error.hints(), ["run one statement at a time"]);
        assert_eq!(error.messages(), ["the query holds more than one statement"]);
    }
}
