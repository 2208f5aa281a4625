//! Planning a delete, and acting on the plan.
//!
//! ```text
//! rows, targets, garbage ──Chosen──> plan() ──Plan──> run() ──> trash, or gone
//! ```
//!
//! [`plan()`] is a pure function of a stored graph, what was chosen and a [`Policy`]; it says what
//! would go, what comes free and what stays for which reason. [`run()`] carries a plan out that was
//! made over a scan of a moment ago, and looks at every item once more before it moves it. Every
//! deletion in here goes through [`crate::trash`]; beside it only an empty file is made and removed,
//! which shows the clock of the storage ([`now_on`]).

mod age;
mod authority;
mod check;
mod choose;
mod document;
mod environment;
mod executor;
mod manifests;
mod marked;
mod name;
mod need;
mod online;
mod places;
mod plan;
mod protect;
mod protected;
mod recheck;
mod rescue;
mod run;
mod space;
mod steps;
mod undoable;
mod unlinked;
mod via_api;

pub use age::{Ages, Clock, MIN_AGE, UPLOAD_MIN_AGE, now_on};
pub use authority::{
    AuthorityError, hidden_by, keep_never_tagged, keep_unnamed, newest_write_ns, registry_evidence,
};
pub use choose::Chosen;
pub use document::{Document, DocumentError, Mode, Origin, Saved};
pub use environment::{Environment, PlannedDeletion, ServingRegistry, Step};
pub use executor::Outcome;
pub use marked::Marked;
pub use name::{NameSet, SkipGroup, Skipped};
pub use online::check_registry;
pub use plan::{Plan, Policy, has_lost_blobs, plan};
pub use protect::{Protect, ProtectError};
pub use protected::{named_count, unmatched_patterns};
pub use rescue::NeededAgain;
pub use run::{Deleted, RunError, RunOptions, check_room, run, run_in};
pub use space::NotFreed;
pub use undoable::NeededToUndo;
pub use via_api::{ApiDeletion, keep_what_the_api_deletes};

/// The digests of blobs that may be corrupt, for [`crate::model::Name::CorruptBlob`].
pub const CORRUPT_SQL: &str = include_str!("sql/corrupt.sql");

/// The paths of what interrupted writes left, for [`crate::model::Name::Leftover`].
pub const LEFTOVERS_SQL: &str = include_str!("sql/leftovers.sql");
