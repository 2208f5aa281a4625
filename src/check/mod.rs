//! Whether a storage is whole: what its scan found, and what reading every byte shows.
//!
//! Structure is the scan's: its findings are in the snapshot, and [`FINDINGS_SQL`] names each
//! which tags cannot be pulled for it. Content is read here: a pool of threads takes blobs in the
//! order of their digests, hashes each through one fixed buffer, and a single writer records in
//! batches what was found right or wrong.
//!
//! Guarantees: nothing in the storage is written; memory depends neither on the size nor on the
//! number of blobs; a check that is killed loses the last few seconds and no more; a file that
//! changes or goes while it is read is never called corrupt.

mod content;
mod hash;
mod rate;
mod selection;
mod severities;
mod stop;

pub use content::{CheckError, ContentOptions, ContentSummary, check_content};
pub use selection::{Selection, Subset, Trusts};
pub use severities::{Severities, SeverityChange};

/// Every finding of the snapshot with the tags that cannot be pulled for it, errors first.
/// `:severities` is what [`Severities::to_json`] gives.
pub const FINDINGS_SQL: &str = include_str!("sql/findings.sql");
