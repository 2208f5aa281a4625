//! Listing all keys of a registry: many prefixes at once, large ones split again.
//!
//! Nothing relies on the order in which a server lists: it differs, and not only within a page.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rayon::Scope;

use super::pages::Markers;
use super::table::{Builder, MAX_KEY_BYTES, Table, UPLOADING};
use super::{Bucket, BucketError, BucketErrorKind, Object};
use crate::model::progress::Progress;
use crate::storage::Contents;

/// Prefixes listed at once; how many requests run at once is the client's to say.
const THREADS: usize = 64;
/// A prefix with more pages than this is listed in parts, where it has any.
const MAX_PAGES: usize = 4;
/// Prefixes that a large one is split into, at most: names that begin alike are listed together.
const MAX_PARTS: usize = 512;
/// Keys that no path can hold of which each is named.
const MAX_STRAYS: usize = 1000;

/// A key that no path can hold, so that no registry reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// The whole key.
    pub key: String,
    /// Why it is none.
    pub reason: &'static str,
}

/// Prefixes that a listing found to be large: the next one of the same storage splits them at once. It lists
/// the same keys, whatever became of them.
#[derive(Debug, Default)]
pub(super) struct Large(Mutex<BTreeSet<String>>);

impl Large {
    fn has(&self, prefix: &str) -> bool {
        lock(&self.0).contains(prefix)
    }

    fn add(&self, prefix: &str) {
        lock(&self.0).insert(prefix.to_owned());
    }
}

/// What a registry held when it was listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Keys below the storage's prefix.
    pub(super) table: Table,
    /// The first keys that no path can hold.
    pub(super) strays: Vec<Stray>,
    /// How many of these there are.
    pub(super) stray_count: u64,
    /// Multipart uploads below the prefix that did not end; `None` where there is no such thing.
    pub(super) multipart_uploads: Option<Contents>,
}

/// Lists everything below these prefixes, one after the other: what no link below a later one names is older
/// than the list of the earlier.
pub(super) fn list_all(
    bucket: &dyn Bucket,
    root_prefix: &str,
    tops: &[String],
    large: &Large,
    progress: &dyn Progress,
) -> Result<Listing, BucketError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .thread_name(|at| format!("regsql-list-{at}"))
        .build()
        .map_err(|error| {
            let kind = BucketErrorKind::Unavailable;
            BucketError::new(kind, "LIST", bucket.url(), root_prefix, &error.to_string())
        })?;
    let first = tops.first().map(String::as_str).unwrap_or_default();
    let registry_prefix = format!("{root_prefix}{}", first.trim_end_matches("blobs/"));
    let work = Work {
        bucket,
        root_prefix,
        large,
        progress,
        builder: Mutex::default(),
        strays: Mutex::default(),
        failed: Mutex::default(),
    };
    for top in tops {
        let prefix = format!("{root_prefix}{top}");
        pool.scope(|scope| work.flat(scope, &prefix));
        if let Some(error) = lock(&work.failed).take() {
            return Err(error);
        }
    }
    // Only those of this registry: another one's may lie further down.
    let below = tops.last().map(|top| format!("{root_prefix}{top}")).unwrap_or_default();
    let (uploads, multipart_uploads) = multipart_uploads(bucket, &registry_prefix, &below)?;
    let uploads = work.usable(uploads);
    lock(&work.builder).add_anywhere(uploads);
    let (strays, stray_count) = std::mem::take(&mut *lock(&work.strays)).finish();
    Ok(Listing {
        strays,
        stray_count,
        multipart_uploads,
        table: std::mem::take(&mut *lock(&work.builder)).finish(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work<'a> {
    bucket: &'a dyn Bucket,
    root_prefix: &'a str,
    large: &'a Large,
    progress: &'a dyn Progress,
    builder: Mutex<Builder>,
    strays: Mutex<Strays>,
    failed: Mutex<Option<BucketError>>,
}

impl Work<'_> {
    fn has_failed(&self) -> bool {
        lock(&self.failed).is_some()
    }

    fn fail(&self, error: BucketError) {
        lock(&self.failed).get_or_insert(error);
    }

    fn bad(&self, prefix: &str, reason: &str) -> BucketError {
        BucketError::new(BucketErrorKind::BadAnswer, "LIST", self.bucket.url(), prefix, reason)
    }

    /// Lists all that begins with `prefix`.
    fn flat<'s>(&'s self, scope: &Scope<'s>, prefix: &str) {
        let is_done = if self.large.has(prefix) { Ok(false) } else { self.list_flat(prefix) };
        match is_done {
            Ok(true) => {}
            Ok(false) => {
                self.large.add(prefix);
                self.split(scope, prefix);
            }
            Err(error) => self.fail(error),
        }
    }

    /// `false` when it is better split.
    fn list_flat(&self, prefix: &str) -> Result<bool, BucketError> {
        let may_split = self.is_splittable(prefix);
        let (mut found, mut next, mut pages, mut shown) = (Vec::new(), None, 0, 0);
        let mut markers = Markers::default();
        loop {
            if self.has_failed() {
                return Ok(true);
            }
            let page = self.bucket.list(prefix, false, next.as_deref())?;
            markers.pass(self.bucket, prefix, page.next.as_deref())?;
            if !page.objects.iter().all(|object| object.key.starts_with(prefix)) {
                return Err(self.bad(prefix, "it lists keys that do not begin so"));
            }
            found.extend(page.objects);
            pages += 1;
            next = page.next;
            if next.is_none() {
                break;
            }
            if pages == MAX_PAGES && may_split {
                return Ok(false);
            }
            if pages > MAX_PAGES {
                self.progress.advance((found.len() - shown) as u64);
                shown = found.len();
            }
        }
        self.progress.advance((found.len() - shown) as u64);
        let objects = self.usable(found);
        lock(&self.builder).add(objects);
        Ok(true)
    }

    /// Lists what begins with `prefix` in parts.
    fn split<'s>(&'s self, scope: &Scope<'s>, prefix: &str) {
        match self.parts_of(prefix) {
            Ok(parts) => {
                let is_one = parts.len() == 1;
                for part in parts {
                    // There is as much below it as there was above.
                    if is_one && self.is_splittable(&part) {
                        scope.spawn(move |scope| self.split(scope, &part));
                    } else {
                        scope.spawn(move |scope| self.flat(scope, &part));
                    }
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Takes what lies right below a prefix, and gives longer prefixes that the rest begins with.
    fn parts_of(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let (mut single, mut names, mut next) = (Vec::new(), BTreeSet::new(), None);
        let mut markers = Markers::default();
        loop {
            if self.has_failed() {
                return Ok(Vec::new());
            }
            let page = self.bucket.list(prefix, true, next.as_deref())?;
            markers.pass(self.bucket, prefix, page.next.as_deref())?;
            for object in page.objects {
                match object.key.strip_prefix(prefix) {
                    Some(rest) if !rest.contains('/') => single.push(object),
                    _ => return Err(self.bad(prefix, "it lists keys of another level")),
                }
            }
            for below in page.prefixes {
                let name = below.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('/'));
                match name {
                    Some(name) if !name.contains('/') => names.insert(format!("{name}/")),
                    _ => return Err(self.bad(prefix, "it lists prefixes of another level")),
                };
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let parts = parts(names);
        // What begins as a part does is listed with it.
        single.retain(|object| {
            let name = &object.key[prefix.len()..];
            let mut ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
            !ends.any(|end| parts.contains(&name[..end]))
        });
        self.progress.advance(single.len() as u64);
        let single = self.usable(single);
        lock(&self.builder).add_single(single);
        Ok(parts.into_iter().map(|part| format!("{prefix}{part}")).collect())
    }

    /// Whether what lies below a prefix lies in directories of which few are large. A directory of links or
    /// blobs has one for each.
    fn is_splittable(&self, prefix: &str) -> bool {
        let Some(path) = prefix.strip_prefix(self.root_prefix) else { return false };
        if let Some((_, below)) = path.split_once("repositories/") {
            return below.strip_suffix("/_manifests/").is_some_and(|above| !above.contains("/_"))
                || !below.split('/').any(|name| name.starts_with('_'));
        }
        path.ends_with("blobs/") || path.ends_with("blobs/sha256/")
    }

    /// The objects whose keys a path can hold, with that path for a key.
    fn usable(&self, mut objects: Vec<Object>) -> Vec<Object> {
        objects.retain_mut(|object| match to_path(object, self.root_prefix.len()) {
            Ok(()) => true,
            Err(stray) => {
                lock(&self.strays).extend(stray);
                false
            }
        });
        objects
    }
}

/// What uploads below `below` have received so far, as the files that a registry on disk would write it to: in S3 no key
/// shows it before an upload ends. Also how much all multipart uploads of the registry have: what a copy that failed
/// leaves, too.
pub(super) fn multipart_uploads(
    bucket: &dyn Bucket,
    registry_prefix: &str,
    below: &str,
) -> Result<(Vec<Object>, Option<Contents>), BucketError> {
    let uploads = match bucket.list_multipart_uploads(registry_prefix) {
        Ok(uploads) => uploads,
        Err(error) if error.kind == BucketErrorKind::Unsupported => return Ok((Vec::new(), None)),
        Err(error) if error.kind == BucketErrorKind::Denied && error.hint.is_none() => {
            return Err(error.with_hint(
                "allow s3:ListBucketMultipartUploads on the bucket and s3:ListMultipartUploadParts on its \
                 objects: what uploads hold is seen in no other way",
            ));
        }
        Err(error) => return Err(error),
    };
    let contents = Contents {
        count: uploads.len() as u64,
        size_bytes: uploads.iter().map(|upload| upload.size_bytes).sum(),
    };
    let mut objects: Vec<Object> = uploads
        .into_iter()
        .filter(|upload| upload.key.starts_with(below) && upload.key.contains("/_uploads/"))
        .map(|upload| Object {
            key: upload.key,
            size_bytes: upload.size_bytes,
            modified_ns: upload.active_ns,
            etag: None,
            md5: None,
            version: None,
            storage_class: Some(UPLOADING.to_owned()),
        })
        .collect();
    objects.sort_by_key(|object| object.modified_ns);
    Ok((objects, Some(contents)))
}

/// Keys that no path can hold: the first of them, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Strays {
    first: BTreeSet<Stray>,
    count: u64,
}

impl Extend<Stray> for Strays {
    fn extend<I: IntoIterator<Item = Stray>>(&mut self, strays: I) {
        for stray in strays {
            self.count += 1;
            self.first.insert(stray);
            if self.first.len() > 2 * MAX_STRAYS {
                self.first = std::mem::take(&mut self.first).into_iter().take(MAX_STRAYS).collect();
            }
        }
    }
}

impl Strays {
    /// The first of them, and how many there are.
    pub(super) fn finish(self) -> (Vec<Stray>, u64) {
        (self.first.into_iter().take(MAX_STRAYS).collect(), self.count)
    }
}

/// Makes an object's key the path that follows the first `skipped` bytes of it. An error when no path can hold it:
/// a stray, or nothing for the marker of a directory.
pub(super) fn to_path(object: &mut Object, skipped: usize) -> Result<(), Option<Stray>> {
    let path = object.key.get(skipped..).unwrap_or_default();
    if let Some(reason) = unusable(path) {
        // Whoever shows a bucket as directories writes an object for an empty one.
        let is_marker = path.strip_suffix('/').is_some_and(|path| unusable(path).is_none());
        let is_stray = !is_marker || object.size_bytes > 0;
        return Err(is_stray.then(|| Stray { key: object.key.clone(), reason }));
    }
    object.key.drain(..skipped);
    object.key.shrink_to_fit();
    Ok(())
}

/// Why no path is this.
fn unusable(path: &str) -> Option<&'static str> {
    if path.len() > MAX_KEY_BYTES {
        return Some("the key is too long for a path");
    }
    if path.contains('\0') {
        return Some("no path holds a NUL");
    }
    path.split('/').find_map(|name| match name {
        "" => Some("no path has an empty name between slashes"),
        "." | ".." => Some("no path keeps `.` or `..` for a name"),
        _ => None,
    })
}

/// Beginnings of names of which each name has just one. The names end with a slash.
fn parts(names: BTreeSet<String>) -> BTreeSet<String> {
    if names.len() <= MAX_PARTS {
        return names;
    }
    let beginnings = |length: usize| -> BTreeSet<String> {
        names.iter().map(|name| name.chars().take(length).collect()).collect()
    };
    let mut parts = beginnings(1);
    for length in 2.. {
        let longer = beginnings(length);
        if longer.len() > MAX_PARTS {
            break;
        }
        parts = longer;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::memory::{MemoryBucket, Provider, Settings};
    use super::*;
    use crate::model::progress::Hidden;

    const TOPS: [&str; 2] = ["v2/blobs/", "v2/repositories/"];

    fn bucket(page_size: usize) -> MemoryBucket {
        MemoryBucket::new("s3://bucket", Settings { page_size, ..Settings::of(Provider::S3) })
    }

    fn listed(bucket: &MemoryBucket) -> (BTreeMap<String, u64>, Vec<String>) {
        let tops = TOPS.map(str::to_owned);
        let large = Large::default();
        list_all(bucket, "x/", &tops, &large, &Hidden).unwrap();
        // The second listing knows what is large.
        let listing = list_all(bucket, "x/", &tops, &large, &Hidden).unwrap();
        let mut found = BTreeMap::new();
        let mut cursor = listing.table.from(b"");
        while let (Some(key), Some(item)) = (cursor.key(), cursor.item()) {
            assert_eq!(found.insert(key.to_owned(), item.record.size_bytes), None);
            cursor.advance();
        }
        (found, listing.strays.into_iter().map(|stray| stray.key).collect())
    }

    fn name() -> impl Strategy<Value = String> {
        "[ab_é!.]{1,3}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever the pages and however large ones are split: each key once, or a stray.
        #[test]
        fn every_key_is_listed_once(
            keys in prop::collection::btree_set(
                (0..2_usize, prop::collection::vec(name(), 1..6)), 0..120),
            page_size in 1..6_usize,
        ) {
            let bucket = bucket(page_size);
            let (mut expected, mut strays) = (BTreeMap::new(), Vec::new());
            for (number, (top, names)) in keys.into_iter().enumerate() {
                let path = format!("{}{}", TOPS[top], names.join("/"));
                bucket.write(&format!("x/{path}"), &vec![0; number]);
                if unusable(&path).is_some() {
                    strays.push(format!("x/{path}"));
                } else {
                    expected.insert(path, number as u64);
                }
            }
            strays.sort();
            prop_assert_eq!(listed(&bucket), (expected, strays));
        }
    }

    #[test]
    fn many_names_are_listed_together_by_how_they_begin() {
        let bucket = bucket(1000);
        for number in 0..6000 {
            bucket
                .write(&format!("x/v2/repositories/team-{number:04}/_layers/sha256/a/link"), b"1");
        }
        assert_eq!(listed(&bucket).0.len(), 6000);
        // 1 for blobs, 4 to see that it is large, 6 of names, 1 of each of 600 beginnings at most.
        let requests = bucket.requests();
        assert!(requests < 1280, "{requests}");
    }

    #[test]
    fn a_small_registry_is_three_lists_of_blobs_of_repositories_and_of_uploads() {
        let bucket = bucket(1000);
        bucket.write("x/v2/blobs/sha256/ab/abc/data", b"1");
        bucket.write("x/v2/repositories/a/_layers/sha256/abc/link", b"1");
        bucket.write("x/v2/repositories/a/", b"");
        let (found, strays) = listed(&bucket);
        assert_eq!((found.len(), strays.len()), (2, 0));
        assert_eq!(bucket.requests(), 2 * 3);
    }
}
