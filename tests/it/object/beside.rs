//! A client of a bucket beside which others act.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use regsql::storage::object::memory::{Fault, MemoryBucket};
use regsql::storage::object::{
    Abilities, Bucket, BucketError, DeleteCondition, MultipartUpload, Object, Page, PutCondition,
    VersionPage,
};

/// Calls `before` with the number and the name of each request, from 0.
pub struct Beside<F> {
    bucket: MemoryBucket,
    count: AtomicU64,
    before: F,
}

impl<F: Fn(u64, &'static str) + Send + Sync> Beside<F> {
    pub fn new(bucket: &MemoryBucket, before: F) -> Self {
        Self { bucket: bucket.client(Fault::Never), count: AtomicU64::new(0), before }
    }

    fn next(&self, request: &'static str) -> &MemoryBucket {
        (self.before)(self.count.fetch_add(1, Ordering::Relaxed), request);
        &self.bucket
    }
}

impl<F: Fn(u64, &'static str) + Send + Sync> Bucket for Beside<F> {
    fn url(&self) -> &str {
        self.bucket.url()
    }

    fn requests(&self) -> u64 {
        self.bucket.requests()
    }

    fn abilities(&self, probe_prefix: &str) -> Result<Abilities, BucketError> {
        self.next("PROBE").abilities(probe_prefix)
    }

    fn list(
        &self,
        prefix: &str,
        is_one_level: bool,
        next: Option<&str>,
    ) -> Result<Page, BucketError> {
        self.next("LIST").list(prefix, is_one_level, next)
    }

    fn head(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.next("HEAD").head(key)
    }

    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError> {
        self.next("GET").get(key, range, etag)
    }

    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError> {
        self.next("PUT").put(key, bytes, condition)
    }

    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError> {
        self.next("COPY").copy(from, to)
    }

    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError> {
        self.next("DELETE").delete(key, condition)
    }

    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        self.next("DELETE").delete_all(objects)
    }

    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError> {
        self.next("LIST versions").list_versions(prefix, next)
    }

    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError> {
        self.next("RESTORE").restore(key, version)
    }

    fn list_multipart_uploads(&self, prefix: &str) -> Result<Vec<MultipartUpload>, BucketError> {
        self.next("LIST uploads").list_multipart_uploads(prefix)
    }

    fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<(), BucketError> {
        self.next("ABORT").abort_multipart_upload(key, upload_id)
    }
}
