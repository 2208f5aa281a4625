//! Registries in S3, Google Cloud Storage and Azure.
//!
//! [`Bucket`] is what the three have in common and regsql needs: one call is one request, with its
//! retries. What only one of them has is an answer of [`Bucket::abilities`], so that nothing above
//! asks which cloud it speaks to.

pub mod aws;
pub mod azure;
mod container;
mod directories;
pub mod gcs;
mod google_user;
mod hidden;
mod http;
pub mod inventory;
mod kept;
mod listing;
#[doc(hidden)]
pub mod memory;
mod pages;
mod runtime;
pub mod s3;
mod storage;
mod table;
mod xml;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Storage;

pub use pages::{each_page, each_version_page};
pub use storage::ObjectStorage;
pub(super) use storage::to_io;

/// One object, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its whole key, as the server gave it: any text, also one with `//`, `..` or control characters.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When this content was written, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// What a conditional request asks for: the entity tag without quotes, Google's generation.
    pub etag: Option<String>,
    /// The MD5 of the content, where the provider says it. One that differs from what is expected proves
    /// nothing: with some encryptions S3 shows another number of the same form.
    pub md5: Option<[u8; 16]>,
    /// What tells this write from every other one of the key: S3's version id in a bucket with
    /// versions, Google's generation, Azure's entity tag. `None` where nothing does: an S3 entity tag
    /// is of the content, and the same content pushed again has the same. A plain listing of S3 does
    /// not say it, [`Bucket::list_versions`] and [`Bucket::head`] do.
    pub version: Option<String>,
    /// `STANDARD`, `GLACIER`, `Cool`…, as the provider calls it.
    pub storage_class: Option<String>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects, in no order that may be relied on: servers differ.
    pub objects: Vec<Object>,
    /// With a delimiter: the prefixes below, each with the delimiter at its end. Some servers keep
    /// one whose objects are gone.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A version of an object that is not the current one, or a marker that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What it is a version of; for a deletion marker the size is 0. Its [`Object::version`] is what
    /// [`Bucket::restore`] and [`Bucket::delete_all`] take: on Azure the version id, not the entity tag.
    pub object: Object,
    /// Whether it is what a plain read gets.
    pub is_current: bool,
    /// It stands for a deletion and has no content.
    pub is_deletion: bool,
}

/// A page of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Of each key the newest first.
    pub versions: Vec<Version>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A multipart upload of S3 that was neither completed nor aborted. Nothing else shows its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The key that it will have.
    pub key: String,
    /// The provider's name for it.
    pub upload_id: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: i64,
    /// Bytes of the parts so far.
    pub size_bytes: u64,
    /// When the newest part came, in nanoseconds since 1970; the start where there is none.
    pub active_ns: i64,
}

/// What must hold for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutCondition<'a> {
    /// Nothing has the key.
    Absent,
    /// What has the key has this entity tag (S3, Azure) or generation (Google).
    Unchanged(&'a str),
}

/// What must hold for a deletion. What cannot be asked of this provider is
/// [`BucketErrorKind::Unsupported`], and nothing is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteCondition<'a> {
    /// Nothing: whatever has the key goes.
    Whatever,
    /// The content has this entity tag.
    Etag(&'a str),
    /// It is this very write ([`Object::version`]). On S3 that version alone goes, for good; elsewhere
    /// what has the key goes as in a plain deletion, if it is still this write.
    Version(&'a str),
}

/// What a bucket can do, by its provider, its settings and what was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen by itself")]
pub struct Abilities {
    /// A plain deletion keeps the content as an older version.
    pub has_versions: bool,
    /// A plain deletion keeps the content for so many seconds.
    pub soft_delete_seconds: Option<u64>,
    /// [`DeleteCondition::Etag`] is honoured for one object.
    pub deletes_by_etag: bool,
    /// [`Object::version`] tells one write of a key from another, and deleting honours it.
    pub deletes_by_version: bool,
    /// Deleting by [`DeleteCondition::Version`] removes that version for good, as on S3, and is no
    /// condition on what a plain deletion would remove.
    pub version_deletes_are_final: bool,
    /// [`PutCondition::Absent`] is honoured: without it there is no lock.
    pub puts_if_absent: bool,
}

/// A bucket of S3 or Google, or a container of Azure. Keys are whole, with the root's prefix.
///
/// No call shows or logs a secret. Each has a timeout, and a bound on what it reads. Throttling and
/// broken connections are retried with growing pauses; what could have happened before a broken
/// answer is asked for again, so that a condition that one's own first attempt broke is no error.
pub trait Bucket: Send + Sync {
    /// The URL of the bucket without secrets and without a slash at the end: `s3://bucket`,
    /// `gs://bucket`, `az://account/container`.
    fn url(&self) -> &str;

    /// Requests that were sent so far, each try counted; 0 where they are not counted.
    fn requests(&self) -> u64 {
        0
    }

    /// What it can do. The first call may ask the provider, and may write and remove an object of
    /// its own below `probe_prefix`.
    fn abilities(&self, probe_prefix: &str) -> Result<Abilities, BucketError>;

    /// Whether it may keep what is overwritten or deleted. Writes nothing.
    ///
    /// # Errors
    /// When that may not be asked.
    fn may_keep_versions(&self) -> Result<bool, BucketError> {
        Ok(true)
    }

    /// One page of the objects whose keys begin with `prefix`, from `next` on. With a delimiter
    /// only those up to the next `/`.
    fn list(
        &self,
        prefix: &str,
        is_one_level: bool,
        next: Option<&str>,
    ) -> Result<Page, BucketError>;

    /// What has a key; `None` when nothing has.
    fn head(&self, key: &str) -> Result<Option<Object>, BucketError>;

    /// Bytes of an object: a range of it, or all. A range may end past the end.
    /// With `etag`, [`BucketErrorKind::Changed`] when it has another one.
    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError>;

    /// Whether the provider itself answers, and not another server that speaks as it does.
    fn is_of_provider(&self) -> bool {
        true
    }

    /// The sha256 of the whole content that the provider checked when it took the object and keeps beside it; `None`
    /// where it has none, or another entity tag. Checksums of parts and entity tags are none.
    fn sha256(&self, _key: &str, _etag: Option<&str>) -> Result<Option<[u8; 32]>, BucketError> {
        Ok(None)
    }

    /// Writes an object, with the storage class and encryption that the registry's configuration
    /// sets. Gives what a later [`PutCondition::Unchanged`] takes.
    ///
    /// # Errors
    /// [`BucketErrorKind::Changed`] when the condition does not hold.
    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError>;

    /// Copies an object of any size within the bucket, with its class and encryption.
    ///
    /// # Errors
    /// [`BucketErrorKind::Changed`] when something has the key `to`.
    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError>;

    /// Deletes one object. What is not there is no error.
    ///
    /// # Errors
    /// [`BucketErrorKind::Changed`] when the condition does not hold.
    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError>;

    /// Deletes many without a condition, or that version of each for good, in as few requests as the
    /// provider allows. Gives what stayed, with the reason. What was not there is gone.
    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError>;

    /// One page of versions and deletion markers.
    ///
    /// # Errors
    /// [`BucketErrorKind::Unsupported`] where there are none.
    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError>;

    /// Makes an older version the current one again: removes the deletion marker that stands over
    /// it, restores the generation, undeletes the blob.
    ///
    /// # Errors
    /// [`BucketErrorKind::Changed`] when something has the key.
    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError>;

    /// Multipart uploads below a prefix, with the bytes of their parts.
    ///
    /// # Errors
    /// [`BucketErrorKind::Unsupported`] where the provider has no such thing.
    fn list_multipart_uploads(&self, prefix: &str) -> Result<Vec<MultipartUpload>, BucketError> {
        let reason = "a registry makes multipart uploads in S3 alone";
        let kind = BucketErrorKind::Unsupported;
        Err(BucketError::new(kind, "LIST uploads", self.url(), prefix, reason))
    }

    /// Removes a multipart upload and its parts. One that is not there is no error.
    ///
    /// # Errors
    /// As of [`Self::list_multipart_uploads`].
    fn abort_multipart_upload(&self, key: &str, _upload_id: &str) -> Result<(), BucketError> {
        let reason = "a registry makes multipart uploads in S3 alone";
        Err(BucketError::new(BucketErrorKind::Unsupported, "ABORT", self.url(), key, reason))
    }
}

/// A registry's storage in a bucket: what it held when it was last listed. Deleting asks it for the
/// entity tags and versions of what it is about to delete; [`Storage::refresh`] lists again, `blobs`
/// before `repositories`, so that what no link names is older than every link that was read.
pub trait Listed: Storage + Send {
    /// The bucket that it lies in.
    fn bucket(&self) -> &Arc<dyn Bucket>;

    /// What all keys of the storage begin with: nothing, or a prefix with a slash at its end. A path of
    /// the storage follows it as it is.
    fn prefix(&self) -> &str;

    /// All objects at `path` or below it, in no order, as they were last listed.
    ///
    /// # Errors
    /// When the storage was not listed yet and cannot be: then nothing says that nothing is there.
    fn objects_at(&self, path: &Path) -> io::Result<Vec<Object>>;

    /// When the last listing of it began, if it was listed.
    fn listed_at(&self) -> Option<Instant>;
}

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{request} of `{url}`: {reason}")]
pub struct BucketError {
    /// What kind of end it was.
    pub kind: BucketErrorKind,
    /// What was asked for: `LIST`, `GET`, `PUT`…
    pub request: &'static str,
    /// The bucket's URL and the key or prefix.
    pub url: String,
    /// The provider's code and words, without secrets, on one line.
    pub reason: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

/// How a request ended that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketErrorKind {
    /// Nothing has that key, or there is no such bucket.
    NotFound,
    /// A condition did not hold: someone else wrote or deleted it.
    Changed,
    /// Credentials are missing, wrong or not allowed to do this.
    Denied,
    /// Still throttled after all retries.
    Throttled,
    /// This provider, server or bucket cannot do it.
    Unsupported,
    /// The answer is not what the protocol says.
    BadAnswer,
    /// The server was not reached, or had an error of its own.
    Unavailable,
}

impl BucketError {
    /// An error of `request` about a key or prefix of the bucket at `bucket_url`.
    pub fn new(
        kind: BucketErrorKind,
        request: &'static str,
        bucket_url: &str,
        key: &str,
        reason: &str,
    ) -> Self {
        let key = key.trim_start_matches('/');
        let url = if key.is_empty() {
            bucket_url.to_owned()
        } else {
            one_line(&format!("{bucket_url}/{key}"))
        };
        let hint = match kind {
            BucketErrorKind::BadAnswer => Some(
                "nothing was taken from this answer; run it again, and check that the endpoint is that of the \
                 object storage and that no proxy answers for it"
                    .to_owned(),
            ),
            BucketErrorKind::Unavailable => {
                Some("try again later; check the endpoint, the network and HTTPS_PROXY".to_owned())
            }
            _ => None,
        };
        Self { kind, request, url, reason: one_line(reason), hint }
    }

    /// The same, with the permission that is missing among the reasons: one thing of many is shown with its reason
    /// alone.
    #[must_use]
    pub fn with_permission(mut self) -> Self {
        if let (BucketErrorKind::Denied, Some(hint)) = (self.kind, &self.hint) {
            self.reason = format!("{}; {hint}", self.reason);
            self.hint = None;
        }
        self
    }

    /// The same with the next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The longest text of a server that a message repeats, in characters.
const MAX_SHOWN: usize = 400;

/// A server's text on one line, without what a terminal obeys.
fn one_line(text: &str) -> String {
    let flat = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    flat.take(MAX_SHOWN).collect::<String>().trim().to_owned()
}

/// Bytes as lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        text.extend([digit(byte >> 4), digit(byte & 15)]);
        text
    })
}

/// Deletions at a time where each is a request of its own.
const DELETE_THREADS: usize = 32;

/// Deletes one by one, many at a time. Gives what stayed.
fn delete_each(
    objects: &[(String, Option<String>)],
    delete: impl Fn(&str, Option<&str>) -> Result<(), BucketError> + Sync,
) -> Vec<(String, BucketError)> {
    let next = Mutex::new(objects.iter());
    let left = Mutex::new(Vec::new());
    let work = || {
        loop {
            let object = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((key, version)) = object else { break };
            if let Err(error) = delete(key, version.as_deref()) {
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                left.push((key.clone(), error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..objects.len().min(DELETE_THREADS) {
            scope.spawn(work);
        }
    });
    left.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The MD5 that 32 hex digits are.
fn md5_of_hex(text: &str) -> Option<[u8; 16]> {
    let mut md5 = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in md5.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(md5)
}

/// The time of a header, in nanoseconds since 1970.
fn http_time(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    i64::try_from(time.timestamp().as_nanosecond()).ok()
}

/// A text that no other process has.
fn unique() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// A text that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
