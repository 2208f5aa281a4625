//! What of a plan comes free on the disk: less than its sizes say where files have other names, or are
//! sparse.

use super::plan::Plan;
use crate::graph::Graph;
use crate::model::Kind;
use crate::storage::Storage;
use crate::storage::paths;

/// What does not come free although it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotFreed {
    /// Blobs with other hard links, as snapshots by `cp -al` make them: these hold the space.
    pub hard_linked_count: u64,
    /// Their sizes together.
    pub hard_linked_bytes: u64,
    /// Bytes of files that take fewer blocks than their sizes say.
    pub sparse_bytes: u64,
}

impl NotFreed {
    /// Of the blobs of a plan. What cannot be looked at is taken for free.
    pub fn of(plan: &Plan, graph: &Graph, storage: &dyn Storage) -> Self {
        let mut found = Self::default();
        for blob in plan.goes[Kind::Blob].iter().chain(&plan.goes[Kind::CorruptBlob]) {
            let path = paths::blob(storage.layout(), &graph.blobs[*blob as usize].digest);
            let Some(path) = path else { continue };
            if let Ok(allocation) = storage.allocation(&path.join("data")) {
                found.add(graph.size_bytes(*blob), allocation.link_count, allocation.size_bytes);
            }
        }
        found
    }

    /// One more file of this size.
    pub fn add(&mut self, size_bytes: u64, link_count: u64, allocated_bytes: u64) {
        if link_count > 1 {
            self.hard_linked_count += 1;
            self.hard_linked_bytes = self.hard_linked_bytes.saturating_add(size_bytes);
        } else {
            let sparse_bytes = size_bytes.saturating_sub(allocated_bytes);
            self.sparse_bytes = self.sparse_bytes.saturating_add(sparse_bytes);
        }
    }
}
