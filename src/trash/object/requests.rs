//! What every part of the trash in a bucket does with requests.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::storage::object::{
    Bucket, BucketError, BucketErrorKind, Object, PutCondition, each_version_page,
};
use crate::trash::error::TrashError;

/// Requests under way at once.
const THREADS: usize = 32;

/// How often a deletion is tried that a server was too busy for.
const ATTEMPTS: u32 = 4;

/// Attempts to write over an object that somebody else writes too.
const WRITES: usize = 4;

/// Does the same with many, several at once, and gives the results in their order.
pub fn parallel<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.iter().map(act).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = act(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What [`PutCondition::Unchanged`] takes of an object: on Google its generation, else its entity tag.
pub fn token_of(bucket: &dyn Bucket, object: &Object) -> String {
    let version = object.version.clone().filter(|_| bucket.url().starts_with("gs://"));
    version.or_else(|| object.etag.clone()).unwrap_or_default()
}

/// Writes an object of regsql's own, in the place of one that may be there.
pub fn write(bucket: &dyn Bucket, key: &str, bytes: &[u8]) -> Result<(), BucketError> {
    let mut last = None;
    for _ in 0..WRITES {
        let there = bucket.head(key)?;
        let token = there.map(|there| token_of(bucket, &there));
        let condition = match &token {
            None => PutCondition::Absent,
            Some(token) => PutCondition::Unchanged(token),
        };
        match bucket.put(key, bytes, condition) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == BucketErrorKind::Changed => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        BucketError::new(
            BucketErrorKind::Changed,
            "PUT",
            bucket.url(),
            key,
            "it is written all the time",
        )
    }))
}

/// Deletes many, and tries those again that a server was too busy for. Gives what stayed.
pub fn delete_all(
    bucket: &dyn Bucket,
    objects: &[(String, Option<String>)],
) -> Vec<(String, BucketError)> {
    let mut left = Vec::new();
    let mut rest = objects.to_vec();
    for attempt in 0..ATTEMPTS {
        let failed = match bucket.delete_all(&rest) {
            Ok(failed) => failed,
            // The bucket has tried that again itself.
            Err(error) => {
                let of = |key: &str| BucketError {
                    kind: error.kind,
                    request: error.request,
                    url: format!("{}/{key}", bucket.url()),
                    reason: error.reason.clone(),
                    hint: error.hint.clone(),
                };
                left.extend(rest.iter().map(|(key, _)| (key.clone(), of(key))));
                return left;
            }
        };
        let is_last = attempt + 1 == ATTEMPTS;
        let mut again = Vec::new();
        for (key, error) in failed {
            match error.kind {
                BucketErrorKind::NotFound => {}
                BucketErrorKind::Throttled | BucketErrorKind::Unavailable if !is_last => {
                    again.push(key);
                }
                _ => left.push((key, error)),
            }
        }
        if again.is_empty() {
            return left;
        }
        again.sort_unstable();
        rest.retain(|(key, _)| again.binary_search(key).is_ok());
        std::thread::sleep(Duration::from_millis(50) * 4_u32.pow(attempt));
    }
    left
}

/// Removes for good the older versions of objects of regsql's own below a prefix, and the markers of
/// deletion where nothing has the key.
pub fn forget_versions(
    bucket: &dyn Bucket,
    prefix: &str,
    is_own: &dyn Fn(&str) -> bool,
) -> Result<(), BucketError> {
    let mut there = HashSet::new();
    let (mut older, mut markers) = (Vec::new(), Vec::new());
    each_version_page(bucket, prefix, &mut |page| {
        for version in page.versions {
            let Object { key, version: Some(id), .. } = version.object else { continue };
            if !is_own(&key) {
                continue;
            }
            if version.is_deletion {
                markers.push((key, Some(id)));
            } else if version.is_current {
                there.insert(key);
            } else {
                older.push((key, Some(id)));
            }
        }
    })?;
    markers.retain(|(key, _)| !there.contains(key));
    // Without its marker an older version would be back.
    for some in [older, markers] {
        if some.is_empty() {
            continue;
        }
        if let Some((_, error)) = delete_all(bucket, &some).into_iter().next() {
            return Err(error);
        }
    }
    Ok(())
}

/// An error of a bucket, in the words of a file system.
pub fn io_error(error: BucketError) -> io::Error {
    let error = error.with_permission();
    let kind = match error.kind {
        BucketErrorKind::NotFound => io::ErrorKind::NotFound,
        BucketErrorKind::Changed => io::ErrorKind::AlreadyExists,
        BucketErrorKind::Denied => io::ErrorKind::PermissionDenied,
        BucketErrorKind::Unsupported => io::ErrorKind::Unsupported,
        BucketErrorKind::BadAnswer => io::ErrorKind::InvalidData,
        BucketErrorKind::Throttled | BucketErrorKind::Unavailable => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// An error of a bucket about something of regsql's own.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn error_at(error: BucketError) -> TrashError {
    TrashError::Bucket { hint: error.hint.clone(), message: error.to_string() }
}
