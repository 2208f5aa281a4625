//! What runs in the trash of a bucket have marked already: it lies in its place until a purge deletes it.
//!
//! A blob that was garbage then and is garbage now waits for that purge. To list it again would count its
//! bytes twice, and begin its time in the trash anew with each run. One that has come to be needed since
//! and comes free with what is chosen now is listed again: undoing this deletion needs it.

use std::collections::HashSet;

use crate::graph::{BlobId, Graph};
use crate::model::Digest;
use crate::trash::{Move, MoveKind};

/// Blobs and uploads that are marked, by places of the graph's lists.
#[derive(Clone, Debug, Default)]
pub struct Marked {
    blobs: HashSet<BlobId>,
    uploads: HashSet<u32>,
}

impl Marked {
    /// What `moves` name of a graph. Whatever is no blob or upload is never only marked.
    pub fn new(graph: &Graph, moves: &[Move]) -> Self {
        let mut marked = Self::default();
        let mut uploads = HashSet::new();
        for item in moves {
            match (item.kind, item.repository.as_deref()) {
                (MoveKind::Blob, _) => {
                    let digest = Digest::parse(&item.name).ok();
                    marked.blobs.extend(digest.and_then(|digest| graph.blob_by_digest(&digest)));
                }
                (MoveKind::Upload, Some(repository)) => {
                    uploads.insert((repository, item.name.as_str()));
                }
                _ => {}
            }
        }
        let is_marked = |at: &u32| {
            let upload = &graph.uploads[*at as usize];
            let repository = &graph.repositories[upload.repository as usize].name;
            uploads.contains(&(repository.as_str(), upload.upload_id.as_str()))
        };
        marked.uploads = (0..graph.uploads.len() as u32).filter(is_marked).collect();
        marked
    }

    /// Whether a blob waits for a purge.
    pub fn has_blob(&self, blob: BlobId) -> bool {
        self.blobs.contains(&blob)
    }

    /// Whether an upload waits for a purge.
    pub fn has_upload(&self, upload: u32) -> bool {
        self.uploads.contains(&upload)
    }
}
