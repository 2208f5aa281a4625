//! A bucket in memory, for tests: versions, soft deletion and conditions as the providers have them,
//! and faults at any request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::{Digest as _, Md5};

use super::{
    Abilities, Bucket, BucketError, BucketErrorKind, DeleteCondition, MultipartUpload, Object,
    Page, PutCondition, Version, VersionPage, hex,
};

/// Whose rules a bucket follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Entity tags are MD5s, versions are ids of a bucket with versions.
    S3,
    /// Each write has a generation.
    Gcs,
    /// Each write has an entity tag of its own, and there is no MD5.
    Azure,
}

/// How a bucket behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whose rules it follows.
    pub provider: Provider,
    /// A deletion keeps the content as an older version.
    pub has_versions: bool,
    /// A deletion keeps the content for so many seconds.
    pub soft_delete_seconds: Option<u64>,
    /// Conditions of deletions are honoured, as older servers do not.
    pub honours_delete_conditions: bool,
    /// Objects of one page.
    pub page_size: usize,
}

impl Settings {
    /// An unversioned bucket of this provider.
    pub fn of(provider: Provider) -> Self {
        Self {
            provider,
            has_versions: false,
            soft_delete_seconds: None,
            honours_delete_conditions: true,
            page_size: 1000,
        }
    }
}

/// Which requests fail. They are counted from 0, reading ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Never,
    /// That request and all after it do nothing: the process was killed before it.
    KilledBefore(u64),
    /// That request is carried out, its answer is lost, and all after it do nothing.
    KilledAfter(u64),
    /// That request alone fails in this way and does nothing.
    Once(u64, BucketErrorKind),
    /// Every so many requests one fails in this way and does nothing.
    Every(u64, BucketErrorKind),
}

/// A client of a bucket in memory. Several can share the objects, each with its own faults.
#[derive(Debug)]
pub struct MemoryBucket {
    url: String,
    settings: Settings,
    objects: Arc<Mutex<Objects>>,
    fault: Fault,
    requests: AtomicU64,
}

/// What tests look at, and the clock.
#[derive(Debug, Default)]
struct Objects {
    /// Of each key the writes, the current one last. A deletion marker of S3 stands among them.
    keys: BTreeMap<String, Vec<Stored>>,
    /// What was deleted softly.
    soft: Vec<(String, Stored, i64)>,
    uploads: Vec<MultipartUpload>,
    writes: u64,
    now_ns: i64,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Arc<[u8]>,
    modified_ns: i64,
    /// Number of the write, from which ids, generations and Azure's entity tags are made.
    write: u64,
    class: &'static str,
    is_deletion: bool,
    /// Whether plain reads get it.
    is_current: bool,
}

/// 2026-01-01, in nanoseconds since 1970.
const START_NS: i64 = 1_767_225_600_000_000_000;

impl MemoryBucket {
    /// An empty bucket.
    pub fn new(url: &str, settings: Settings) -> Self {
        let objects = Objects { now_ns: START_NS, ..Objects::default() };
        Self {
            url: url.to_owned(),
            settings,
            objects: Arc::new(Mutex::new(objects)),
            fault: Fault::Never,
            requests: AtomicU64::new(0),
        }
    }

    /// Another client of the same objects, with its own faults and its own count of requests.
    #[must_use]
    pub fn client(&self, fault: Fault) -> Self {
        Self {
            url: self.url.clone(),
            settings: self.settings,
            objects: Arc::clone(&self.objects),
            fault,
            requests: AtomicU64::new(0),
        }
    }

    /// The same objects copied: what happens to one bucket does not happen to the other.
    #[must_use]
    pub fn copied(&self) -> Self {
        let objects = self.objects();
        let copied = Objects {
            keys: objects.keys.clone(),
            soft: objects.soft.clone(),
            uploads: objects.uploads.clone(),
            writes: objects.writes,
            now_ns: objects.now_ns,
        };
        drop(objects);
        Self { objects: Arc::new(Mutex::new(copied)), ..self.client(Fault::Never) }
    }

    /// The bucket's clock, in nanoseconds since 1970. It stands still unless it is moved.
    pub fn now_ns(&self) -> i64 {
        self.objects().now_ns
    }

    /// Moves the clock.
    pub fn pass_seconds(&self, seconds: i64) {
        self.objects().now_ns += seconds * 1_000_000_000;
    }

    /// Sets the clock, in nanoseconds since 1970.
    pub fn set_now_ns(&self, now_ns: i64) {
        self.objects().now_ns = now_ns;
    }

    /// Everything that plain reads get, without a request.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let objects = self.objects();
        let current = objects.keys.iter().filter_map(|(key, writes)| {
            current(writes).map(|stored| (key.clone(), stored.bytes.to_vec()))
        });
        current.collect()
    }

    /// Writes an object without a request, as somebody else would.
    pub fn write(&self, key: &str, bytes: &[u8]) {
        self.objects().write(self.settings, key, bytes, "STANDARD");
    }

    /// Writes an object of a storage class without a request.
    pub fn write_as(&self, key: &str, bytes: &[u8], class: &'static str) {
        self.objects().write(self.settings, key, bytes, class);
    }

    /// Moves what has a key to another storage class, as a rule of the bucket does.
    pub fn set_class(&self, key: &str, class: &'static str) {
        let mut objects = self.objects();
        if let Some(stored) = objects.keys.get_mut(key).and_then(|writes| writes.last_mut()) {
            stored.class = class;
        }
    }

    /// Deletes an object without a request, as somebody else would.
    pub fn remove(&self, key: &str) {
        self.objects().delete(self.settings, key);
    }

    /// A multipart upload of somebody else, with the bytes that it has.
    pub fn start_upload(&self, key: &str, size_bytes: u64) -> String {
        let mut objects = self.objects();
        let upload_id = format!("upload-{}", objects.uploads.len());
        let now_ns = objects.now_ns;
        objects.uploads.push(MultipartUpload {
            key: key.to_owned(),
            upload_id: upload_id.clone(),
            started_ns: now_ns,
            size_bytes,
            active_ns: now_ns,
        });
        upload_id
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(
        &self,
        kind: BucketErrorKind,
        request: &'static str,
        key: &str,
        reason: &str,
    ) -> BucketError {
        BucketError::new(kind, request, &self.url, key, reason)
    }

    /// Carries a request out, or not, as the fault says.
    fn request<T>(
        &self,
        name: &'static str,
        key: &str,
        act: impl FnOnce(&mut Objects) -> Result<T, BucketError>,
    ) -> Result<T, BucketError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let killed = || Err(self.error(BucketErrorKind::Unavailable, name, key, "killed"));
        match self.fault {
            Fault::KilledBefore(first) if number >= first => return killed(),
            Fault::KilledAfter(last) if number > last => return killed(),
            Fault::Once(only, kind) if number == only => {
                return Err(self.error(kind, name, key, "a fault of the test"));
            }
            Fault::Every(every, kind) if number % every.max(1) == every.max(1) - 1 => {
                return Err(self.error(kind, name, key, "a fault of the test"));
            }
            _ => {}
        }
        let mut objects = self.objects();
        objects.expire(self.settings);
        let result = act(&mut objects);
        match self.fault {
            Fault::KilledAfter(last) if number == last => killed(),
            _ => result,
        }
    }
}

impl Objects {
    fn write(&mut self, settings: Settings, key: &str, bytes: &[u8], class: &'static str) {
        let write = self.next_write();
        let stored = Stored {
            bytes: bytes.into(),
            modified_ns: self.now_ns,
            write,
            class,
            is_deletion: false,
            is_current: true,
        };
        self.retire(settings, key);
        self.keys.entry(key.to_owned()).or_default().push(stored);
    }

    fn next_write(&mut self) -> u64 {
        self.writes += 1;
        self.writes
    }

    /// Takes what has the key from plain reads.
    fn retire(&mut self, settings: Settings, key: &str) {
        let Some(writes) = self.keys.get_mut(key) else { return };
        let Some(last) = writes.last_mut().filter(|last| last.is_current) else { return };
        last.is_current = false;
        if settings.has_versions {
            return;
        }
        let stored = writes.pop();
        if writes.is_empty() {
            self.keys.remove(key);
        }
        if let (Some(stored), Some(_)) = (stored, settings.soft_delete_seconds) {
            self.soft.push((key.to_owned(), stored, self.now_ns));
        }
    }

    fn delete(&mut self, settings: Settings, key: &str) {
        self.retire(settings, key);
        if settings.provider == Provider::S3 && settings.has_versions {
            let write = self.next_write();
            let marker = Stored {
                bytes: Arc::from([]),
                modified_ns: self.now_ns,
                write,
                class: "STANDARD",
                is_deletion: true,
                is_current: true,
            };
            self.keys.entry(key.to_owned()).or_default().push(marker);
        }
    }

    /// Removes one version for good.
    fn delete_version(&mut self, settings: Settings, key: &str, version: &str) {
        let Some(writes) = self.keys.get_mut(key) else { return };
        writes.retain(|stored| version_of(settings, stored, true).as_deref() != Some(version));
        // On S3 what was below it is the current one then.
        if settings.provider == Provider::S3
            && let Some(last) = writes.last_mut()
        {
            last.is_current = true;
        }
        if writes.is_empty() {
            self.keys.remove(key);
        }
    }

    fn expire(&mut self, settings: Settings) {
        let Some(seconds) = settings.soft_delete_seconds else { return };
        let now_ns = self.now_ns;
        self.soft.retain(|(_, _, deleted_ns)| {
            now_ns.saturating_sub(*deleted_ns) < seconds as i64 * 1_000_000_000
        });
    }
}

fn current(writes: &[Stored]) -> Option<&Stored> {
    writes.last().filter(|stored| stored.is_current && !stored.is_deletion)
}

fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

fn generation_of(stored: &Stored) -> String {
    format!("{}", 1_700_000_000 + stored.write)
}

fn etag_of(settings: Settings, stored: &Stored) -> String {
    match settings.provider {
        Provider::S3 => hex(&md5_of(&stored.bytes)),
        Provider::Gcs => generation_of(stored),
        Provider::Azure => format!("0x8D{:013X}", stored.write),
    }
}

/// `as_version`: as a listing of versions shows it, not a plain one.
fn version_of(settings: Settings, stored: &Stored, as_version: bool) -> Option<String> {
    match settings.provider {
        Provider::S3 if !settings.has_versions => as_version.then(|| "null".to_owned()),
        Provider::S3 => as_version.then(|| format!("v{:08}", stored.write)),
        Provider::Gcs => Some(generation_of(stored)),
        Provider::Azure if as_version => Some(format!("2026-01-01T00:00:00.{:07}Z", stored.write)),
        Provider::Azure => Some(etag_of(settings, stored)),
    }
}

fn object_of(settings: Settings, key: &str, stored: &Stored, as_version: bool) -> Object {
    let has_md5 = settings.provider != Provider::Azure && !stored.is_deletion;
    Object {
        key: key.to_owned(),
        size_bytes: stored.bytes.len() as u64,
        modified_ns: stored.modified_ns,
        etag: (!stored.is_deletion).then(|| etag_of(settings, stored)),
        md5: has_md5.then(|| md5_of(&stored.bytes)),
        version: version_of(settings, stored, as_version),
        storage_class: Some(stored.class.to_owned()),
    }
}

impl Bucket for MemoryBucket {
    fn url(&self) -> &str {
        &self.url
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn abilities(&self, probe_prefix: &str) -> Result<Abilities, BucketError> {
        let settings = self.settings;
        self.request("PROBE", probe_prefix, |_| {
            let by_version = match settings.provider {
                Provider::S3 => settings.has_versions,
                Provider::Gcs | Provider::Azure => settings.honours_delete_conditions,
            };
            Ok(Abilities {
                has_versions: settings.has_versions,
                soft_delete_seconds: settings.soft_delete_seconds,
                deletes_by_etag: settings.honours_delete_conditions,
                deletes_by_version: by_version,
                version_deletes_are_final: settings.provider == Provider::S3,
                puts_if_absent: true,
            })
        })
    }

    fn may_keep_versions(&self) -> Result<bool, BucketError> {
        let settings = self.settings;
        let keeps = settings.has_versions || settings.soft_delete_seconds.is_some();
        self.request("GET versioning", "", |_| Ok(keeps))
    }

    fn list(
        &self,
        prefix: &str,
        is_one_level: bool,
        next: Option<&str>,
    ) -> Result<Page, BucketError> {
        self.request("LIST", prefix, |objects| {
            let mut page = Page::default();
            let mut prefixes = BTreeSet::new();
            let from = next.unwrap_or(prefix);
            let mut last: Option<&str> = None;
            for (key, writes) in objects.keys.range(from.to_owned()..) {
                if !key.starts_with(prefix) {
                    break;
                }
                if next.is_some_and(|next| key.as_str() <= next) {
                    continue;
                }
                let Some(stored) = current(writes) else { continue };
                let slash = key[prefix.len()..].find('/').filter(|_| is_one_level);
                let below = slash.map(|at| &key[..=prefix.len() + at]);
                let is_seen = below.is_some_and(|below| prefixes.contains(below));
                // A page may end inside a prefix; the next one must not show it again.
                let was_shown =
                    below.is_some_and(|below| next.is_some_and(|next| next.starts_with(below)));
                if page.objects.len() + prefixes.len() >= self.settings.page_size && !is_seen {
                    page.next = last.map(str::to_owned);
                    break;
                }
                last = Some(key);
                match below {
                    Some(below) if !was_shown => {
                        prefixes.insert(below.to_owned());
                    }
                    Some(_) => {}
                    None => page.objects.push(object_of(self.settings, key, stored, false)),
                }
            }
            page.prefixes = prefixes.into_iter().collect();
            Ok(page)
        })
    }

    fn head(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.request("HEAD", key, |objects| {
            let stored = objects.keys.get(key).and_then(|writes| current(writes));
            let as_version = self.settings.provider == Provider::S3 && self.settings.has_versions;
            Ok(stored.map(|stored| object_of(self.settings, key, stored, as_version)))
        })
    }

    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError> {
        self.request("GET", key, |objects| {
            let stored = objects.keys.get(key).and_then(|writes| current(writes));
            let Some(stored) = stored else {
                return Err(self.error(BucketErrorKind::NotFound, "GET", key, "NoSuchKey"));
            };
            if etag.is_some_and(|etag| etag != etag_of(self.settings, stored)) {
                return Err(self.error(BucketErrorKind::Changed, "GET", key, "PreconditionFailed"));
            }
            let length = stored.bytes.len() as u64;
            let range = range.unwrap_or(0..length);
            let start = range.start.min(length) as usize;
            let end = range.end.min(length).max(range.start.min(length)) as usize;
            Ok(stored.bytes[start..end].to_vec())
        })
    }

    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError> {
        let settings = self.settings;
        let token = |stored: &Stored| etag_of(settings, stored);
        self.request("PUT", key, |objects| {
            let there = objects.keys.get(key).and_then(|writes| current(writes)).map(token);
            let holds = match condition {
                PutCondition::Absent => there.is_none(),
                PutCondition::Unchanged(expected) => there.as_deref() == Some(expected),
            };
            if !holds {
                return Err(self.error(BucketErrorKind::Changed, "PUT", key, "PreconditionFailed"));
            }
            objects.write(settings, key, bytes, "STANDARD");
            let stored = objects.keys.get(key).and_then(|writes| current(writes));
            Ok(stored.map(token).unwrap_or_default())
        })
    }

    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError> {
        self.request("COPY", &from.key, |objects| {
            let source = objects.keys.get(&from.key).and_then(|writes| current(writes)).cloned();
            let Some(source) = source else {
                return Err(self.error(BucketErrorKind::NotFound, "COPY", &from.key, "NoSuchKey"));
            };
            let is_other =
                from.etag.as_ref().is_some_and(|etag| *etag != etag_of(self.settings, &source));
            let is_taken = objects.keys.get(to).is_some_and(|writes| current(writes).is_some());
            if is_other || is_taken {
                return Err(self.error(BucketErrorKind::Changed, "COPY", to, "PreconditionFailed"));
            }
            objects.write(self.settings, to, &source.bytes, source.class);
            Ok(())
        })
    }

    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError> {
        let settings = self.settings;
        self.request("DELETE", key, |objects| {
            let stored = objects.keys.get(key).and_then(|writes| current(writes));
            let changed =
                || Err(self.error(BucketErrorKind::Changed, "DELETE", key, "PreconditionFailed"));
            let unsupported =
                |reason| Err(self.error(BucketErrorKind::Unsupported, "DELETE", key, reason));
            match condition {
                DeleteCondition::Whatever => {}
                DeleteCondition::Etag(_) | DeleteCondition::Version(_)
                    if !settings.honours_delete_conditions => {}
                DeleteCondition::Etag(etag) => match stored {
                    Some(stored) if etag_of(settings, stored) != etag => return changed(),
                    Some(_) => {}
                    None => return Ok(()),
                },
                DeleteCondition::Version(version) if settings.provider == Provider::S3 => {
                    if !settings.has_versions {
                        return unsupported("the bucket has no versions");
                    }
                    objects.delete_version(settings, key, version);
                    return Ok(());
                }
                DeleteCondition::Version(version) => match stored {
                    Some(stored)
                        if version_of(settings, stored, false).as_deref() != Some(version) =>
                    {
                        return changed();
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
            objects.delete(settings, key);
            Ok(())
        })
    }

    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        let mut left = Vec::new();
        for (number, some) in objects.chunks(1000).enumerate() {
            let result = self.request("DELETE", "", |stored| {
                for (key, version) in some {
                    match version {
                        Some(version) => stored.delete_version(self.settings, key, version),
                        None => stored.delete(self.settings, key),
                    }
                }
                Ok(())
            });
            if let Err(error) = result {
                if number == 0 {
                    return Err(error);
                }
                for (key, _) in some {
                    left.push((key.clone(), self.error(error.kind, "DELETE", key, &error.reason)));
                }
            }
        }
        Ok(left)
    }

    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError> {
        self.request("LIST versions", prefix, |objects| {
            let mut page = VersionPage::default();
            let keys: BTreeSet<&str> = objects
                .keys
                .keys()
                .chain(objects.soft.iter().map(|(key, ..)| key))
                .map(String::as_str)
                .filter(|key| key.starts_with(prefix) && next.is_none_or(|next| *key > next))
                .collect();
            for (seen, key) in keys.iter().enumerate() {
                if seen == self.settings.page_size {
                    page.next = keys.iter().nth(seen - 1).map(|key| (*key).to_owned());
                    break;
                }
                let writes = objects.keys.get(*key).map_or(&[][..], Vec::as_slice);
                let soft = objects.soft.iter().filter(|(other, ..)| other == key);
                let all = writes.iter().rev().chain(soft.rev().map(|(_, stored, _)| stored));
                page.versions.extend(all.map(|stored| Version {
                    object: object_of(self.settings, key, stored, true),
                    is_current: stored.is_current && !stored.is_deletion,
                    is_deletion: stored.is_deletion,
                }));
            }
            Ok(page)
        })
    }

    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError> {
        let settings = self.settings;
        self.request("RESTORE", key, |objects| {
            let fail = |kind, reason| Err(self.error(kind, "RESTORE", key, reason));
            let is_it = |stored: &Stored| {
                [true, false]
                    .iter()
                    .any(|shown| version_of(settings, stored, *shown).as_deref() == Some(version))
            };
            let writes = objects.keys.get(key).map_or(&[][..], Vec::as_slice);
            if let Some(current) = current(writes) {
                let is_back = is_it(current);
                return if is_back { Ok(()) } else { fail(BucketErrorKind::Changed, "taken") };
            }
            if let Some(at) = objects.soft.iter().position(|(k, s, _)| k == key && is_it(s)) {
                let (_, mut stored, _) = objects.soft.remove(at);
                stored.is_current = true;
                objects.keys.entry(key.to_owned()).or_default().push(stored);
                return Ok(());
            }
            let Some(wanted) = writes.iter().find(|stored| is_it(stored)).cloned() else {
                return fail(BucketErrorKind::NotFound, "there is no such version");
            };
            if settings.provider == Provider::S3 {
                let writes = objects.keys.entry(key.to_owned()).or_default();
                while writes.last().is_some_and(|last| last.is_deletion) {
                    writes.pop();
                }
                match writes.last_mut() {
                    Some(last) if last.write == wanted.write => last.is_current = true,
                    Some(last) => {
                        last.is_current = true;
                        return fail(BucketErrorKind::Changed, "another version is newer");
                    }
                    None => {}
                }
            } else {
                objects.write(settings, key, &wanted.bytes, wanted.class);
            }
            Ok(())
        })
    }

    fn list_multipart_uploads(&self, prefix: &str) -> Result<Vec<MultipartUpload>, BucketError> {
        self.request("LIST uploads", prefix, |objects| {
            if self.settings.provider != Provider::S3 {
                let reason = "it has no multipart uploads";
                let kind = BucketErrorKind::Unsupported;
                return Err(self.error(kind, "LIST uploads", prefix, reason));
            }
            let uploads = objects.uploads.iter().filter(|upload| upload.key.starts_with(prefix));
            Ok(uploads.cloned().collect())
        })
    }

    fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<(), BucketError> {
        self.request("ABORT", key, |objects| {
            objects.uploads.retain(|upload| upload.key != key || upload.upload_id != upload_id);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
