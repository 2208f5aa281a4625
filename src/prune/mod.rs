//! Planning a delete, and acting on the plan.
//!
//! ```text
//! rows, targets, garbage ──Chosen──> plan() ──Plan──> Act ──> trash, or gone
//! ```
//!
//! [`plan()`] is a pure function of a stored graph, what was chosen and a [`Policy`]; it says what
//! would go, what comes free and what stays for which reason. [`Act`] is given a plan over a scan
//! made a moment ago and looks at every item once more before it moves it. Nothing in here calls a
//! delete of the file system: that is [`crate::trash`]'s alone.

mod act;
mod age;
mod check;
mod choose;
mod document;
mod manifests;
mod name;
mod named;
mod need;
mod paths;
mod plan;
mod protect;
mod protected;
mod rescue;
mod steps;
mod sweep;

pub use act::{Act, Done, LinkRemover, Means, Phase, Way};
pub use age::{Ages, Clock};
pub use choose::{Asked, Chosen};
pub use document::{Counts, Document, DocumentError, Mode, Origin, Saved};
pub use name::{Name, NameSet, SkipGroup, Skipped};
pub use plan::{Plan, Policy, plan};
pub use protect::{Protect, ProtectError};
pub use protected::{named_count, unmatched_patterns};
pub use rescue::{NeededAgain, Rescued, rescue};
pub use steps::Steps;

pub use crate::scan::is_pull_through;

/// The digests of blobs that may be corrupt, for [`Name::CorruptBlob`].
pub const CORRUPT_SQL: &str = include_str!("sql/corrupt.sql");

/// The paths of what interrupted writes left, for [`Name::Leftover`].
pub const LEFTOVERS_SQL: &str = include_str!("sql/leftovers.sql");
