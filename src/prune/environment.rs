//! What a deletion carries out, and what surrounds it: the seams that a test can fill.

use std::time::Duration;

use jiff::Timestamp;

use super::age::Clock;
use super::plan::Plan;
use crate::graph::Graph;
use crate::model::Digest;
use crate::model::progress::Progress;

/// A plan that is to be carried out.
pub trait PlannedDeletion {
    /// What the storage held when it was planned.
    fn graph(&self) -> &Graph;
    /// What goes.
    fn plan(&self) -> &Plan;
    /// What time it is, and how old a thing must be to go.
    fn clock(&self) -> Clock;
}

/// What surrounds a deletion: whoever looks on, the clock, and what can stop it.
pub trait Environment {
    /// Something that a person may want to read.
    fn note(&self, text: &str);
    /// Something that a person should read.
    fn warn(&self, text: &str);
    /// Something that helps when one looks for a fault.
    fn detail(&self, text: &str);
    /// Where the number of steps is shown.
    fn progress(&self) -> &dyn Progress;
    /// How often a person asked to stop. At the first time no further step is made; a second time ends
    /// the wait for pushes under way too.
    fn stop_count(&self) -> u32;
    /// Waits, not much longer than `duration`. A test may let its own clock go on instead.
    fn sleep(&self, duration: Duration);
    /// The time, for the names of runs and their records.
    fn now(&self) -> Timestamp;
    /// Called before each step. A test may change the storage here, as a registry would.
    fn before(&self, _step: Step) {}

    /// Whether a person asked to stop.
    fn is_stopped(&self) -> bool {
        self.stop_count() > 0
    }
}

/// What a deletion does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Plans again, under the lock.
    Plan,
    /// Writes the list of the run, or goes on without one.
    Begin,
    /// Looks at the item with this number in the order of the deletion, and removes it.
    Remove(usize),
    /// Waits for pushes under way.
    Wait,
    /// Reads all repositories again.
    Recheck,
    /// Writes down that the run has come to its end.
    Record,
    /// Frees what the run holds, since no trash was wanted.
    Purge,
}

/// A running registry, as far as deleting beside it goes.
pub trait ServingRegistry: Sync {
    /// Deletes a layer link through the API. Gives why it could not; what is not there is no reason.
    fn delete_link(&self, repository: &str, digest: &Digest) -> Result<(), String>;
    /// Deletes a revision and every tag that points at it, in the same way.
    fn delete_revision(&self, repository: &str, digest: &Digest) -> Result<(), String>;
    /// Whether it serves a blob to a repository.
    fn serves_link(&self, repository: &str, digest: &Digest) -> Result<bool, String>;
    /// Whether it serves a manifest by its digest.
    fn serves_revision(&self, repository: &str, digest: &Digest) -> Result<bool, String>;
}
