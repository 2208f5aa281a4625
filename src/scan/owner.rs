//! Whether the registry may read what lies there, as far as owners and permission bits say.

use crate::storage::{FileFacts, FileKind, Storage};

/// The user that owns the storage, whom the registry most likely runs as.
#[derive(Clone, Copy, Debug)]
pub struct Owner(Option<u32>);

impl Owner {
    /// The owner of `blobs`, unless it is root, who may read everything.
    pub fn of(storage: &dyn Storage) -> Self {
        let facts = storage.stat(&storage.layout().blobs()).ok();
        let is_known = |facts: &FileFacts| facts.kind == FileKind::Directory && facts.owner != 0;
        Self(facts.filter(is_known).map(|facts| facts.owner))
    }

    /// The user's number.
    pub fn number(self) -> Option<u32> {
        self.0
    }

    /// Why the owner may not read a file. One that a group may read counts as readable: which groups
    /// the registry is in is not known.
    pub fn is_shut_out(self, facts: &FileFacts) -> Option<String> {
        let owner = self.0?;
        let needed = if facts.owner == owner { 0o400 } else { 0o044 };
        (facts.permissions & needed == 0).then(|| {
            format!(
                "user {owner} may not read it: mode {:03o}, owned by user {}",
                facts.permissions, facts.owner
            )
        })
    }
}
