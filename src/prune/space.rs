//! What of a plan comes free on the disk: less than its sizes say where files have other names, or are
//! sparse.

use super::places;
use super::plan::Plan;
use crate::graph::{Graph, Item};
use crate::model::Kind;
use crate::storage::Storage;

/// What does not come free although it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotFreed {
    /// Blobs and uploads with other hard links, as snapshots by `cp -al` make them: these hold the space.
    pub hard_linked_count: u64,
    /// Their sizes together.
    pub hard_linked_bytes: u64,
    /// Bytes of files that take fewer blocks than their sizes say.
    pub sparse_bytes: u64,
}

impl NotFreed {
    /// Of the blobs and uploads of a plan. What cannot be looked at is taken for free.
    pub fn of(plan: &Plan, graph: &Graph, storage: &dyn Storage) -> Self {
        let mut found = Self::default();
        for kind in [Kind::Blob, Kind::CorruptBlob, Kind::Upload] {
            for at in &plan.goes[kind] {
                let item = Item::new(kind, *at);
                let directory = places::of_item(storage.layout(), graph, item, &[]);
                let Some(directory) = directory else { continue };
                if let Ok(allocation) = storage.allocation(&directory.join("data")) {
                    let size_bytes = graph.size_bytes_of(item);
                    found.add(size_bytes, allocation.link_count, allocation.size_bytes);
                }
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
