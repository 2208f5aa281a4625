//! Whether the storage of a registry may be changed now.

use super::error::RegistryError;
use super::{DeleteOutcome, Registry, ServingState};
use crate::model::Digest;

/// What a person says of the registry whose storage is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It takes pushes, and its API removes what it may have cached.
    Serving,
    /// It is stopped or read-only. `is_claimed`: somebody gave their word for it; `was_to_stop`: a
    /// command that stops it was run.
    #[expect(missing_docs, reason = "said above")]
    Quiet { is_claimed: bool, was_to_stop: bool },
}

/// What the registry is doing, when its storage may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing listens at its address.
    Stopped,
    /// It runs, and takes no pushes.
    ReadOnly,
    /// It takes pushes, and removes layer links when asked to.
    Serving,
}

/// Why the storage must not be changed now. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The registry cannot be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It serves, and deletes nothing.
    #[error("the registry at {url} does not remove layer links: nothing was touched")]
    #[expect(missing_docs, reason = "said by their names")]
    NoDeletes { url: String, outcome: DeleteOutcome },
    /// It serves nothing of what the storage holds.
    #[error("the registry at {url} serves nothing of what is in this storage: nothing was touched")]
    #[expect(missing_docs, reason = "said by its name")]
    OtherStorage { url: String },
    /// It takes pushes against somebody's word.
    #[error(
        "the registry at {url} takes pushes, although --offline says that nothing writes: nothing was touched"
    )]
    #[expect(missing_docs, reason = "said by its name")]
    NotOffline { url: String },
    /// It takes pushes after the command that was to stop it.
    #[error("the registry at {url} still takes pushes after --before: nothing was touched")]
    #[expect(missing_docs, reason = "said by its name")]
    NotStopped { url: String },
    /// It takes pushes.
    #[error("the registry at {url} takes pushes: nothing was touched")]
    #[expect(missing_docs, reason = "said by its name")]
    TakesPushes { url: String },
}

impl GateError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Registry(error) => return error.hint(),
            Self::NoDeletes { outcome, .. } => outcome.hint()?,
            Self::OtherStorage { .. } => "is --registry-url the registry of this storage?",
            Self::NotOffline { .. } => "stop it or make it read-only; or use --online",
            Self::NotStopped { .. } => {
                "its command must wait until the registry has stopped, and stop that one"
            }
            Self::TakesPushes { .. } => {
                "stop it (--before and --after can), make it read-only \
                 (storage.maintenance.readonly.enabled: true, and restart), or use --online"
            }
        };
        Some(hint.to_owned())
    }
}

impl Registry {
    /// Makes sure that nothing writes to the storage, or that this registry removes layer links when
    /// asked to, which empties its cache of them. `repository`: one that exists.
    ///
    /// # Errors
    /// When its storage must not be changed now.
    pub fn check_before_changes(
        &self,
        repository: &str,
        expected: Expected,
    ) -> Result<Found, GateError> {
        let url = self.url();
        let Expected::Quiet { is_claimed, was_to_stop } = expected else {
            let nothing = Digest::of(b"a blob that no registry holds");
            return match self.delete_blob_link(repository, &nothing)? {
                DeleteOutcome::Deleted | DeleteOutcome::NotFound => Ok(Found::Serving),
                outcome => Err(GateError::NoDeletes { url, outcome }),
            };
        };
        match self.probe(repository)? {
            ServingState::Stopped => Ok(Found::Stopped),
            ServingState::ReadOnly => Ok(Found::ReadOnly),
            ServingState::Writable if is_claimed => Err(GateError::NotOffline { url }),
            ServingState::Writable if was_to_stop => Err(GateError::NotStopped { url }),
            ServingState::Writable => Err(GateError::TakesPushes { url }),
        }
    }
}
