//! A lake in a bucket, where nothing can be renamed: files are uploaded under their own names, table by
//! table as they are written, and `scan_info` last. Until it is there the views of an engine pass over
//! the rest.
//!
//! An upload that was broken off is gone on with by the next export of that scan, since the same scan is
//! the same bytes. What is never gone on with is removed by another export of the registry after a day.
//! Each write asks for what it found there, so that two exports at once meet instead of mixing.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::destination::{Destination, Finished};
use super::directory::{LAKE_MARKER, LakeMarker, MAX_MARKER_BYTES};
use super::partition::Partition;
use super::staging::{Part, Staging};
use super::table::LAST;
use super::{LakeError, MARKER};
use crate::storage::object::{
    Bucket, BucketError, BucketErrorKind, Object, PutCondition, each_page,
};

/// How long a broken upload is left to be gone on with.
const ABANDONED_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Tries to write a key that others write at the same time.
const TRIES: usize = 4;

/// A prefix of a bucket.
pub struct InBucket {
    bucket: Arc<dyn Bucket>,
    /// Nothing, or ends with a slash.
    prefix: String,
    place: String,
}

impl InBucket {
    /// Below `prefix`, with or without a slash at its end; empty: the whole bucket.
    pub fn new(bucket: Arc<dyn Bucket>, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let place = format!("{}/{prefix}", bucket.url()).trim_end_matches('/').to_owned();
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { bucket, prefix, place }
    }

    fn key(&self, below: &str) -> String {
        format!("{}{below}", self.prefix)
    }

    /// Every object whose key begins so.
    fn objects(&self, prefix: &str) -> Result<Vec<Object>, LakeError> {
        let mut objects = Vec::new();
        each_page(&*self.bucket, prefix, false, &mut |page| objects.extend(page.objects))?;
        Ok(objects)
    }

    /// A small object; `None` when nothing has the key.
    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, LakeError> {
        match self.bucket.get(key, Some(0..MAX_MARKER_BYTES + 1), None) {
            Ok(bytes) if bytes.len() as u64 > MAX_MARKER_BYTES => {
                let source = io::ErrorKind::FileTooLarge.into();
                Err(LakeError::Write { path: format!("{}/{key}", self.bucket.url()), source })
            }
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind == BucketErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts these bytes at a key, whatever is there; what is there already is not sent again.
    fn put(&self, key: &str, bytes: &[u8], mut there: Option<Object>) -> Result<(), LakeError> {
        let mut last = None;
        for _ in 0..TRIES {
            if let Some(object) = &there
                && self.is_same(object, bytes)?
            {
                return Ok(());
            }
            let etag = there.as_ref().and_then(|object| object.etag.as_deref());
            let condition = etag.map_or(PutCondition::Absent, PutCondition::Unchanged);
            match self.bucket.put(key, bytes, condition) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind == BucketErrorKind::Changed => last = Some(error),
                Err(error) => return Err(error.into()),
            }
            there = self.bucket.head(key)?;
        }
        let reason = "something else writes there at the same time";
        let error = last.unwrap_or_else(|| {
            BucketError::new(BucketErrorKind::Changed, "PUT", self.bucket.url(), key, reason)
        });
        Err(error.with_hint("export again when the other export has ended").into())
    }

    fn is_same(&self, object: &Object, bytes: &[u8]) -> Result<bool, LakeError> {
        if object.size_bytes != bytes.len() as u64 {
            return Ok(false);
        }
        // An equal MD5 proves it; another one proves nothing, and not every server shows one.
        if object.md5.is_some_and(|md5| md5[..] == Md5::digest(bytes)[..]) {
            return Ok(true);
        }
        let all = Some(0..object.size_bytes);
        match self.bucket.get(&object.key, all, object.etag.as_deref()) {
            Ok(there) => Ok(there == bytes),
            Err(error)
                if matches!(error.kind, BucketErrorKind::Changed | BucketErrorKind::NotFound) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Uploads the parts of a table and gives their room on the disk back; then removes what else is there of
    /// it, which an export of another version of regsql had left.
    fn upload(
        &self,
        staging: &Staging,
        partition: &Partition,
        table: &str,
        parts: &[Part],
    ) -> Result<(), LakeError> {
        let directory = self.key(&format!("{}/", partition.directory(table)));
        let mut there = self.objects(&directory)?;
        for part in parts {
            let bytes = staging.read_part(table, part)?;
            let key = format!("{directory}{}", part.name);
            let at = there.iter().position(|object| object.key == key);
            self.put(&key, &bytes, at.map(|at| there.swap_remove(at)))?;
            staging.empty_part(table, part)?;
        }
        let marker = format!("{directory}{MARKER}");
        let strays = there.into_iter().map(|object| object.key);
        self.remove(strays.filter(|key| *key != marker && *key != directory).collect())
    }

    fn remove(&self, keys: Vec<String>) -> Result<(), LakeError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        match self.bucket.delete_all(&keys)?.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Removes what broken uploads of this registry left a day ago: scans without `scan_info`.
    fn remove_abandoned(&self, partition: &Partition, tables: &[&str]) -> Result<(), LakeError> {
        let scan_of = |directory: &str, key: &str| {
            Some(key.strip_prefix(directory)?.split_once('/')?.0.to_owned())
        };
        let directory = |table: &str| self.key(&format!("{table}/{}/", partition.registry));
        let last = directory(LAST);
        let whole: BTreeSet<String> =
            self.objects(&last)?.iter().filter_map(|object| scan_of(&last, &object.key)).collect();
        for table in tables.iter().filter(|table| **table != LAST) {
            let directory = directory(table);
            let objects = self.objects(&directory)?;
            let now_ns = jiff::Timestamp::now().as_nanosecond();
            let is_old =
                |object: &&Object| now_ns - i128::from(object.modified_ns) > ABANDONED_NS.into();
            let abandoned = objects.iter().filter(is_old).filter(|object| {
                scan_of(&directory, &object.key)
                    .is_some_and(|scan| scan != partition.scan && !whole.contains(&scan))
            });
            self.remove(abandoned.map(|object| object.key.clone()).collect())?;
        }
        Ok(())
    }
}

impl Destination for InBucket {
    fn place(&self) -> &str {
        &self.place
    }

    fn is_inside(&self, root: &str) -> bool {
        // What follows a question mark is the server: in doubt it is the same.
        let root = root.split_once('?').map_or(root, |(root, _)| root).trim_end_matches('/');
        format!("{}/", self.place).starts_with(&format!("{root}/"))
    }

    fn open(&self, format: &'static str) -> Result<(), LakeError> {
        let marker = self.key(LAKE_MARKER);
        if let Some(bytes) = self.read(&marker)? {
            return LakeMarker::check(&bytes, &self.place, format);
        }
        let page = self.bucket.list(&self.prefix, false, None)?;
        let is_marker = |object: &Object| object.key == marker;
        let foreign = page.objects.iter().find(|object| object.key != self.prefix);
        if let Some(foreign) = foreign
            // Another export may have made it a lake meanwhile.
            && !page.objects.iter().any(is_marker)
            && self.bucket.head(&marker)?.is_none()
        {
            let name = foreign.key.strip_prefix(&self.prefix).unwrap_or(&foreign.key);
            let example = name.split('/').find(|part| !part.is_empty()).unwrap_or(name).to_owned();
            return Err(LakeError::Foreign { place: self.place.clone(), example });
        }
        match self.bucket.put(&marker, &LakeMarker::bytes(format), PutCondition::Absent) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == BucketErrorKind::Changed => {
                let bytes = self.read(&marker)?.unwrap_or_default();
                LakeMarker::check(&bytes, &self.place, format)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn stage(
        &self,
        partition: &Partition,
        extension: &'static str,
        tables: &[&'static str],
    ) -> Result<Staging, LakeError> {
        self.remove_abandoned(partition, tables)?;
        Staging::temporary(extension)
    }

    fn take(
        &self,
        staging: &Staging,
        partition: &Partition,
        table: &'static str,
        parts: &[Part],
    ) -> Result<(), LakeError> {
        if table == LAST { Ok(()) } else { self.upload(staging, partition, table, parts) }
    }

    fn marker(&self, table: &str, partition: &Partition) -> Result<Option<Vec<u8>>, LakeError> {
        self.read(&self.key(&format!("{}/{MARKER}", partition.directory(table))))
    }

    fn list(&self, table: &str, partition: &Partition) -> Result<Vec<(String, u64)>, LakeError> {
        let directory = self.key(&format!("{}/", partition.directory(table)));
        let files = self.objects(&directory)?.into_iter().filter_map(|object| {
            Some((object.key.strip_prefix(&directory)?.to_owned(), object.size_bytes))
        });
        Ok(files.collect())
    }

    fn publish(
        &self,
        staging: Staging,
        partition: &Partition,
        tables: &[Finished],
    ) -> Result<(), LakeError> {
        for Finished { table, parts, marker } in tables {
            if *table == LAST {
                self.upload(&staging, partition, table, parts)?;
            }
            let key = self.key(&format!("{}/{MARKER}", partition.directory(table)));
            self.put(&key, marker, None)?;
        }
        Ok(())
    }
}
