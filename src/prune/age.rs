//! How fresh things are.
//!
//! A push may rely on a blob without writing a byte to it: `HEAD` writes nothing, a re-upload or a
//! mount writes only a layer link, and a manifest that is put again rewrites its revision's link.
//! So a blob is as fresh as the newest of its data, the layer links that lead to it in any
//! repository, and the revisions that name it (distribution `linkedblobstore.go`, `blobwriter.go`).

use std::path::Path;
use std::time::Duration;

use crate::graph::BlobId;
use crate::graph::Graph;
use crate::storage::StorageWriter;

/// How old a thing must be to go, unless a person says otherwise: longer than any push takes.
pub const MIN_AGE: Duration = Duration::from_hours(24);

/// How long an upload must have been idle, unless a person says otherwise: the registry keeps one for
/// a week (distribution `registry/storage/purgeuploads.go`).
pub const UPLOAD_MIN_AGE: Duration = Duration::from_hours(168);

/// What time it is, and how old a thing must be to go.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds since 1970, by the clock of whoever stamps the files.
    pub now_ns: i64,
    /// What is younger stays.
    pub min_age: Duration,
}

impl Clock {
    /// How old something is; 0 when its time lies ahead.
    pub fn age(self, time_ns: i64) -> Duration {
        u64::try_from(self.now_ns.saturating_sub(time_ns))
            .map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// Whether it must stay. What has no time known is fresh, unless age does not matter.
    pub fn is_fresh(self, time_ns: Option<i64>) -> bool {
        match time_ns {
            Some(time) => self.age(time) < self.min_age,
            None => !self.min_age.is_zero(),
        }
    }
}

/// The time in nanoseconds since 1970 by the clock that stamps the storage's files, or `local_ns`, the
/// time by this machine's, if that is earlier or the disk is too full for a file.
pub fn now_on(storage: &dyn StorageWriter, local_ns: i64) -> i64 {
    let file = Path::new(".regsql/clock");
    drop(storage.remove_file(file));
    drop(storage.write_new(file, b""));
    let stamped = storage.stat(file).map(|facts| facts.modified_ns);
    drop(storage.remove_file(file));
    stamped.map_or(local_ns, |stamped| stamped.min(local_ns))
}

/// The last time that anything was written for each blob, in nanoseconds since 1970.
#[derive(Clone, Debug)]
pub struct Ages {
    touched_ns: Vec<Option<i64>>,
}

impl Ages {
    /// Works it out for all blobs of a graph.
    pub fn new(graph: &Graph) -> Self {
        let mut ages =
            Self { touched_ns: graph.blobs.iter().map(|blob| blob.changed_ns).collect() };
        for link in &graph.links {
            ages.touch(link.name, link.linked_ns);
            ages.touch(link.target, link.linked_ns);
        }
        for (blob, pushed_ns) in graph.revisions.iter().zip(&graph.revisions_pushed_ns) {
            ages.touch(*blob, *pushed_ns);
            if let Some(id) = graph.manifest_at(*blob) {
                for named in graph.kept_blobs(id) {
                    ages.touch(*named, *pushed_ns);
                }
            }
        }
        ages
    }

    fn touch(&mut self, blob: BlobId, time_ns: Option<i64>) {
        let known = &mut self.touched_ns[blob as usize];
        *known = (*known).max(time_ns);
    }

    /// When anything was last written for the blob.
    pub fn touched_ns(&self, blob: BlobId) -> Option<i64> {
        self.touched_ns[blob as usize]
    }
}
