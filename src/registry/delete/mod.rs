//! Deleting tags and revisions through the API alone, for people who cannot reach the disk.
//!
//! The API deletes a manifest by digest, and with it *every* tag of that digest; it can neither
//! delete one tag of several (distribution 2 has no such call) nor list revisions. So each item is
//! looked at again through the API right before its delete, and stays if something that was not
//! selected would go with it or come to miss it. Parents go before children: a run that stops in
//! the middle leaves whole images and garbage, never an image without a part.
//!
//! What remains: between the last look, which asks for every tag of the repository, and the delete
//! somebody may still push a tag of the same digest, or an index that holds it; and an untagged index
//! pushed since the caller's snapshot cannot be seen through the API by anyone.

mod order;
mod repository;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::model::Digest;

use super::{DeleteOutcome, Registry, RegistryError};

/// One thing to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The repository.
    pub repository: String,
    /// The tag, or `None` for a revision.
    pub tag: Option<String>,
    /// The revision, or what the tag stands for in the caller's snapshot.
    pub digest: Digest,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => write!(f, "{}@{}", self.repository, self.digest),
        }
    }
}

/// What to delete and what to keep, all from one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What to delete, with all that the deletes leave without use.
    pub items: Vec<Item>,
    /// By repository: the tags that stay, and what they stand for.
    pub staying_tags: BTreeMap<String, BTreeMap<String, Digest>>,
    /// The registry keeps its storage in S3, where one before version 3 may say that it deleted a tag which
    /// stays: such tags are asked for once more.
    pub is_in_s3: bool,
}

/// What became of an item.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is gone.
    Deleted,
    /// The registry did not have it.
    NotFound,
    /// It stays.
    Skipped(SkipReason),
    /// The registry failed. After a timeout it may be gone.
    Failed(Arc<RegistryError>),
    /// The run stopped before its turn.
    NotTried,
}

/// Why an item stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Its digest has tags that were not selected, and they would go with it.
    #[error("the same manifest is also tagged {}, which would go with it", names(.0))]
    OtherTags(Vec<String>),
    /// The tag was pushed again.
    #[error("the tag stands for {now} now")]
    Moved {
        /// What it stands for now.
        now: Digest,
    },
    /// A tag of the repository cannot be read, and may stand for the same manifest.
    #[error("tag `{tag}` may stand for the same manifest and cannot be read: {reason}")]
    UnreadableTag {
        /// The tag.
        tag: String,
        /// What the registry said.
        reason: String,
    },
    /// A tag that came or moved since the snapshot needs it.
    #[error("tag `{tag}`, which is newer than the scan, needs it")]
    NewlyNeeded {
        /// The tag.
        tag: String,
    },
    /// An index that holds it, or the image that it is about, was selected and stays.
    #[error("it belongs to {0}, which stays")]
    ParentStays(Digest),
    /// A manifest that may hold it cannot be read.
    #[error("manifest {digest} may hold it and cannot be read: {reason}")]
    UnreadableManifest {
        /// The manifest.
        digest: Digest,
        /// Why not.
        reason: String,
    },
    /// The registry lists the tag and has no manifest for it.
    #[error("the registry lists the tag and has no such manifest to delete")]
    Dangling,
    /// The registry said that it deleted the manifest and its tags, and still lists the tag.
    #[error(
        "the registry said that the tag is deleted and still lists it: registries before version 3 in S3 delete no \
         tag beside one that goes on with `-` or `.`, here `{beside}`; delete it in the storage: regsql prune --target"
    )]
    StillListed {
        /// A tag whose name goes on after this one's.
        beside: String,
    },
}

fn names(tags: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = tags.iter().take(SHOWN).map(|tag| format!("`{tag}`")).collect();
    if tags.len() > SHOWN {
        text.push(format!("and {} more", tags.len() - SHOWN));
    }
    text.join(", ")
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The registry deletes nothing.
    #[error("the registry at {url} does not delete: {}", why(*.outcome))]
    Refused {
        /// The registry.
        url: String,
        /// `DeletesDisabled` or `ReadOnly`.
        outcome: DeleteOutcome,
    },
    /// The registry as a whole fails.
    #[error("the registry answers with errors, so nothing more was asked of it")]
    Failed(#[source] Arc<RegistryError>),
    /// The caller wanted no more.
    #[error("stopped before the end")]
    Asked,
}

fn why(outcome: DeleteOutcome) -> &'static str {
    match outcome {
        DeleteOutcome::ReadOnly => "it is read-only",
        _ => "deletes are not enabled in its configuration",
    }
}

impl Stop {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { outcome, .. } => outcome.hint().map(str::to_owned),
            Self::Failed(error) => error.hint(),
            Self::Asked => None,
        }
    }
}

/// What a run did.
#[derive(Debug)]
pub struct Report {
    /// What became of each item, in the order of the selection.
    pub outcomes: Vec<Outcome>,
    /// Why it did not come to its end.
    pub stopped: Option<Stop>,
}

/// Deletes what is selected, as far as that hurts nothing else. `on_item` hears of each item that
/// is settled, with its index, and may end the run; the manifest being deleted is finished first.
pub fn delete(
    registry: &Registry,
    selection: &Selection,
    mut on_item: impl FnMut(usize, &Outcome) -> ControlFlow<()>,
) -> Report {
    let mut by_repository: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, item) in selection.items.iter().enumerate() {
        by_repository.entry(&item.repository).or_default().push(index);
    }
    let mut run = Run {
        registry,
        outcomes: selection.items.iter().map(|_| Outcome::NotTried).collect(),
        on_item: &mut on_item,
        is_in_s3: selection.is_in_s3,
    };
    let nothing = BTreeMap::new();
    let stopped = by_repository.into_iter().find_map(|(name, indices)| {
        let staying = selection.staying_tags.get(name).unwrap_or(&nothing);
        repository::delete(&mut run, name, &selection.items, &indices, staying).err()
    });
    Report { outcomes: run.outcomes, stopped }
}

/// What all repositories of a run share.
struct Run<'a> {
    registry: &'a Registry,
    outcomes: Vec<Outcome>,
    on_item: &'a mut dyn FnMut(usize, &Outcome) -> ControlFlow<()>,
    is_in_s3: bool,
}

impl Run<'_> {
    /// All of what one answer settled: if the caller then wants no more, none of it is lost.
    fn settle(&mut self, settled: Vec<(usize, Outcome)>) -> Result<(), Stop> {
        let mut goes_on = true;
        for (index, outcome) in settled {
            self.outcomes[index] = outcome;
            goes_on &= (self.on_item)(index, &self.outcomes[index]).is_continue();
        }
        if goes_on { Ok(()) } else { Err(Stop::Asked) }
    }
}
