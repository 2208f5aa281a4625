//! Listings page by page. A server that goes on at a place where it went on before would be asked for ever.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::{Bucket, BucketError, BucketErrorKind, Page, VersionPage};

/// Calls `take` with every page of what begins with `prefix`; with `is_one_level` only up to the next `/`.
///
/// # Errors
/// What a request or `take` ends with, and [`BucketErrorKind::BadAnswer`] when the pages do not end.
pub fn each_page(
    bucket: &dyn Bucket,
    prefix: &str,
    is_one_level: bool,
    take: &mut dyn FnMut(Page),
) -> Result<(), BucketError> {
    let (mut markers, mut next) = (Markers::default(), None);
    loop {
        let mut page = bucket.list(prefix, is_one_level, next.as_deref())?;
        next = page.next.take();
        markers.pass(bucket, prefix, next.as_deref())?;
        take(page);
        if next.is_none() {
            return Ok(());
        }
    }
}

/// The same with every version and deletion marker.
///
/// # Errors
/// As of [`each_page`].
pub fn each_version_page(
    bucket: &dyn Bucket,
    prefix: &str,
    take: &mut dyn FnMut(VersionPage),
) -> Result<(), BucketError> {
    let (mut markers, mut next) = (Markers::default(), None);
    loop {
        let mut page = bucket.list_versions(prefix, next.as_deref())?;
        next = page.next.take();
        markers.pass(bucket, prefix, next.as_deref())?;
        take(page);
        if next.is_none() {
            return Ok(());
        }
    }
}

/// Where the pages of one listing began so far.
#[derive(Debug, Default)]
pub(super) struct Markers {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Markers {
    /// Takes where the next page begins.
    ///
    /// # Errors
    /// [`BucketErrorKind::BadAnswer`] when a page of this listing began there before.
    pub(super) fn pass(
        &mut self,
        bucket: &dyn Bucket,
        prefix: &str,
        next: Option<&str>,
    ) -> Result<(), BucketError> {
        if next.is_none_or(|next| self.seen.insert(self.hasher.hash_one(next))) {
            return Ok(());
        }
        let reason = "the listing does not end: it goes on where it went on before";
        Err(BucketError::new(BucketErrorKind::BadAnswer, "LIST", bucket.url(), prefix, reason))
    }
}
