//! What a bucket keeps that no plain listing shows: older versions, deleted contents, markers of deletions. After a
//! deletion in such a bucket nothing has come free, and this is where it went.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;

use super::pages::Markers;
use super::{Bucket, BucketError};
use crate::model::progress::Progress;
use crate::storage::{Contents, Noncurrent};

/// Prefixes listed at once.
const THREADS: usize = 64;
/// A prefix with more pages than this is listed in parts.
const MAX_PAGES: usize = 4;

/// Objects that are asked for a checksum before it is believed that none has any.
const CHECKSUMS_TRIED: u64 = 100;

/// Whether the provider keeps checksums of objects, as far as it was asked.
#[derive(Debug, Default)]
pub(super) struct Checksums {
    asked: AtomicU64,
    is_any: AtomicBool,
}

impl Checksums {
    /// Counts one more question; `false` when none of the first had an answer.
    pub(super) fn are_worth_asking(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        asked < CHECKSUMS_TRIED || self.is_any.load(Ordering::Relaxed)
    }

    /// Notes whether an object had one.
    pub(super) fn note(&self, has_one: bool) {
        self.is_any.fetch_or(has_one, Ordering::Relaxed);
    }
}

/// Counts what is not current below `blobs_prefix` and `repositories_prefix`. `None` where it may not be seen.
pub(super) fn noncurrent(
    bucket: &dyn Bucket,
    blobs_prefix: &str,
    repositories_prefix: &str,
    progress: &dyn Progress,
) -> Option<Noncurrent> {
    match bucket.may_keep_versions() {
        Ok(true) => {}
        Ok(false) => return Some(Noncurrent::default()),
        Err(_) => return None,
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().ok()?;
    let count = Count { bucket, progress, has_failed: AtomicBool::new(false) };
    progress.phase("versions", None);
    pool.install(|| {
        let blobs = || count.below(blobs_prefix, shards(blobs_prefix));
        let repositories = || count.below(repositories_prefix, initials(repositories_prefix));
        let (blobs, repositories) = rayon::join(blobs, repositories);
        Some(sum(blobs.ok()?, repositories.ok()?))
    })
}

/// All prefixes below which a registry puts the data of blobs.
fn shards(blobs_prefix: &str) -> Vec<String> {
    (0..=255_u8).map(|byte| format!("{blobs_prefix}sha256/{byte:02x}")).collect()
}

/// All beginnings of names that a repository may have (distribution `reference`).
fn initials(repositories_prefix: &str) -> Vec<String> {
    let characters = ('a'..='z').chain('0'..='9');
    characters.map(|initial| format!("{repositories_prefix}{initial}")).collect()
}

fn sum(a: Noncurrent, b: Noncurrent) -> Noncurrent {
    Noncurrent {
        versions: Contents {
            count: a.versions.count + b.versions.count,
            size_bytes: a.versions.size_bytes.saturating_add(b.versions.size_bytes),
        },
        delete_marker_count: a.delete_marker_count + b.delete_marker_count,
    }
}

struct Count<'a> {
    bucket: &'a dyn Bucket,
    progress: &'a dyn Progress,
    has_failed: AtomicBool,
}

impl Count<'_> {
    /// Counts below a prefix, at once or in these parts of it.
    fn below(&self, prefix: &str, parts: Vec<String>) -> Result<Noncurrent, BucketError> {
        if let Some(found) = self.pages(prefix, Some(MAX_PAGES))? {
            return Ok(found);
        }
        let of_part = |part: String| Ok(self.pages(&part, None)?.unwrap_or_default());
        parts.into_par_iter().map(of_part).try_reduce(Noncurrent::default, |a, b| Ok(sum(a, b)))
    }

    /// `None` when there are more pages than `max_pages`.
    fn pages(
        &self,
        prefix: &str,
        max_pages: Option<usize>,
    ) -> Result<Option<Noncurrent>, BucketError> {
        let mut found = Noncurrent::default();
        let mut next: Option<String> = None;
        let mut markers = Markers::default();
        for page_number in 0.. {
            if self.has_failed.load(Ordering::Relaxed) {
                break;
            }
            if max_pages.is_some_and(|max_pages| page_number >= max_pages) {
                return Ok(None);
            }
            let listed = self.bucket.list_versions(prefix, next.as_deref());
            let page = listed
                .and_then(|page| {
                    markers.pass(self.bucket, prefix, page.next.as_deref()).map(|()| page)
                })
                .inspect_err(|_| self.has_failed.store(true, Ordering::Relaxed))?;
            let count = page.versions.len() as u64;
            for version in page.versions {
                if version.is_deletion {
                    found.delete_marker_count += 1;
                } else if !version.is_current {
                    found.versions.count += 1;
                    let sum = found.versions.size_bytes.saturating_add(version.object.size_bytes);
                    found.versions.size_bytes = sum;
                }
            }
            self.progress.advance(count);
            if page.next.is_none() {
                break;
            }
            next = page.next;
        }
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::super::BucketErrorKind;
    use super::super::memory::{Fault, MemoryBucket, Provider, Settings};
    use super::*;
    use crate::model::progress::Hidden;

    fn counted(bucket: &MemoryBucket) -> Option<Noncurrent> {
        noncurrent(bucket, "v2/blobs/", "v2/repositories/", &Hidden)
    }

    #[test]
    fn what_was_overwritten_and_deleted_is_counted_whatever_the_pages() {
        for page_size in [2, 1000] {
            for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
                let settings = Settings { page_size, has_versions: true, ..Settings::of(provider) };
                let bucket = MemoryBucket::new("s3://b", settings);
                for shard in 0..20 {
                    let key = format!("v2/blobs/sha256/{shard:02x}/{shard:02x}1/data");
                    bucket.write(&key, &[0; 100]);
                    if shard % 2 == 0 {
                        bucket.remove(&key);
                    }
                }
                bucket.write("v2/repositories/a/_manifests/tags/t/current/link", &[0; 71]);
                bucket.write("v2/repositories/a/_manifests/tags/t/current/link", &[1; 71]);
                bucket.write("other", &[0; 1]);
                bucket.remove("other");
                let versions = Contents { count: 11, size_bytes: 1071 };
                let delete_marker_count = if provider == Provider::S3 { 10 } else { 0 };
                let expected = Noncurrent { versions, delete_marker_count };
                assert_eq!(counted(&bucket), Some(expected), "{provider:?} {page_size}");
            }
        }
    }

    #[test]
    fn a_bucket_without_versions_is_asked_once_and_one_that_does_not_answer_is_not_known() {
        let bucket = MemoryBucket::new("s3://b", Settings::of(Provider::S3));
        assert_eq!(counted(&bucket), Some(Noncurrent::default()));
        assert_eq!(bucket.requests(), 1);
        let settings = Settings { has_versions: true, ..Settings::of(Provider::S3) };
        let bucket = MemoryBucket::new("s3://b", settings);
        for request in 0..2 {
            let denied = bucket.client(Fault::Once(request, BucketErrorKind::Denied));
            assert_eq!(counted(&denied), None, "{request}");
        }
    }
}
