//! What an export of roots no longer names, although it is on disk: half of a list looks like that.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::db::{self, DatabaseError};
use crate::graph::{BlobId, Graph};
use crate::model::Code;
use crate::scan::Catalog;

/// An export is refused when it no longer names this many blobs that are still on disk. A product
/// that takes a blob off its list takes it off the disk too, so a few are what its collector could not
/// delete; more are what half of a list looks like, be it of one repository alone.
const LEAST_FORGOTTEN: u64 = 10;

/// The last scan.
pub struct Before {
    /// Its database.
    pub database: PathBuf,
    /// Whether an export that forgets what was known then is refused. It cannot be one that says the same,
    /// or one of which a person said that it is right.
    pub is_refused: bool,
}

/// Why the blobs that roots name cannot be determined.
#[derive(Debug)]
pub enum ForgottenError {
    /// The last scan cannot be read.
    Database(DatabaseError),
    /// The export no longer names what it named then and is still here.
    Forgotten {
        /// How many blobs.
        count: u64,
        /// How many of those are here that were named then.
        of: u64,
    },
}

impl From<DatabaseError> for ForgottenError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl Before {
    /// What is known, by number. While a manifest that roots lead to cannot be read, what was known before stays
    /// known, since that manifest may name it: else the next export might leave it out, and nothing would
    /// show that.
    pub fn known(
        &self,
        catalog: &Catalog,
        graph: &Graph,
        known_blobs: Vec<BlobId>,
    ) -> Result<Vec<BlobId>, ForgottenError> {
        let is_hidden = hides_something(catalog, &known_blobs);
        if !self.is_refused && !is_hidden {
            return Ok(known_blobs);
        }
        let mut before = Vec::new();
        db::each_known_before(&self.database, |digest| {
            let blob = graph.blob_by_digest(digest);
            let is_here = |blob: &BlobId| graph.blobs[*blob as usize].size_bytes.is_some();
            before.extend(blob.filter(is_here));
        })?;
        let mut known: HashSet<BlobId> = known_blobs.into_iter().collect();
        let forgotten = |known: &HashSet<BlobId>| {
            before.iter().filter(|blob| !known.contains(blob)).count() as u64
        };
        if self.is_refused && forgotten(&known) >= LEAST_FORGOTTEN {
            self.follow(graph, &mut known)?;
            let count = forgotten(&known);
            if count >= LEAST_FORGOTTEN {
                return Err(ForgottenError::Forgotten { count, of: before.len() as u64 });
            }
        }
        if is_hidden {
            known.extend(before);
        }
        let mut known: Vec<BlobId> = known.into_iter().collect();
        known.sort_unstable();
        Ok(known)
    }

    /// A manifest that cannot be read any more still has in it what it had.
    fn follow(&self, graph: &Graph, known: &mut HashSet<BlobId>) -> Result<(), DatabaseError> {
        let mut references = Vec::new();
        db::each_reference_known_before(&self.database, |manifest, named| {
            let pair = graph.blob_by_digest(manifest).zip(graph.blob_by_digest(named));
            references.extend(pair);
        })?;
        loop {
            let count = known.len();
            let named = references.iter().filter(|(manifest, _)| known.contains(manifest));
            let named: Vec<BlobId> = named.map(|(_, named)| *named).collect();
            known.extend(named);
            if known.len() == count {
                return Ok(());
            }
        }
    }
}

/// Whether a manifest that roots lead to cannot be read. One that is missing is gone, if all could be
/// looked at.
fn hides_something(catalog: &Catalog, known_blobs: &[BlobId]) -> bool {
    catalog.manifests.iter().any(|manifest| {
        let is_gone = || {
            matches!(&manifest.fault, Some((Code::ManifestMissing, _))) && catalog.roots.is_empty()
        };
        manifest.is_broken() && known_blobs.binary_search(&manifest.blob).is_ok() && !is_gone()
    })
}
