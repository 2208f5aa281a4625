//! Why a blob, tag or revision is still there: who keeps it, or why it is garbage, and what deleting
//! it would free.
//!
//! A *path* leads from a blob up to what keeps it, by the edges that the accounting goes down (see
//! `graph`): to manifests that name it, from a child to its index, from a referrer to its subject in
//! the same repository, from a blob to a digest that the registry resolves to it. It ends at a tag, at
//! a revision that no tag leads to, or at something that cannot be read and so keeps all it may need.
//!
//! Guarantees: reads the snapshot alone, through look-ups by id; the nearest paths are found with a
//! bounded number of them, all paths are handed out one by one. Prints nothing.

mod about;
mod answer;
mod edges;
mod error;
mod search;
mod target;
mod walk;

pub use answer::{Answer, Fault, FreedWith, LayerLink, Reason, Step, TargetKind, Verdict, Via};
pub use error::WhyError;
pub use walk::{End, MAX_PATHS};

use rusqlite::Connection;

use edges::Edges;
use target::Target;

/// A target that was found in a snapshot, and what there is to ask about it.
pub struct Question<'c> {
    edges: Edges<'c>,
    given: String,
    target: Target,
}

impl<'c> Question<'c> {
    /// Finds what `given` names: a digest or the beginning of one, `REPO:TAG` or `REPO@DIGEST`.
    pub fn new(connection: &'c Connection, given: &str) -> Result<Self, WhyError> {
        let target = target::resolve(connection, given)?;
        let edges = Edges::new(connection)?;
        Ok(Self { edges, given: given.to_owned(), target })
    }

    /// Everything but the paths.
    pub fn answer(&self) -> Result<Answer, WhyError> {
        about::answer(&self.edges, &self.given, &self.target)
    }

    /// The nearest paths, best first: for a blob one in each of a few repositories, for a tag or
    /// revision a few.
    pub fn nearest_paths(
        &self,
        take: impl FnMut(&[Step]) -> std::io::Result<()>,
    ) -> Result<End, WhyError> {
        match self.start() {
            Some(start) => walk::nearest(&self.edges, &start, take),
            None => Ok(End::default()),
        }
    }

    /// Every path, at most [`MAX_PATHS`], none of them held in memory.
    pub fn all_paths(
        &self,
        take: impl FnMut(&[Step]) -> std::io::Result<()>,
    ) -> Result<End, WhyError> {
        match self.start() {
            // What keeps a revision in its repository is asked about in that repository alone.
            Some(start) => walk::all(&self.edges, &start, take),
            None => Ok(End::default()),
        }
    }

    fn start(&self) -> Option<walk::Start> {
        Some(match &self.target {
            Target::Blob { blob, .. } => {
                walk::Start { blob: *blob, repository: None, per_repository: 1 }
            }
            Target::Revision { repository_id, blob, .. } => {
                walk::Start { blob: *blob, repository: Some(*repository_id), per_repository: 5 }
            }
            Target::Tag { blob, .. } => {
                walk::Start { blob: (*blob)?, repository: None, per_repository: 5 }
            }
        })
    }
}
