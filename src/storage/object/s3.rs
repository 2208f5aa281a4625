//! S3 and what speaks its protocol (API version 2006-03-01).

mod answers;
mod signing;

use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use md5::{Digest as _, Md5};

use super::http::{Asked, Bounds, Reply, Wanted, encode};
use super::pages::Markers;
use super::{
    Abilities, Bucket, BucketError, BucketErrorKind, DeleteCondition, MultipartUpload, Object,
    Page, PutCondition, VersionPage, xml,
};
use answers::Failed;
pub use signing::S3Options;
use signing::Signed;

/// Keys of one `DeleteObjects`.
const DELETE_KEYS: usize = 1000;
/// `DeleteObjects` at a time.
const DELETE_THREADS: usize = 8;
/// The largest object that one `CopyObject` copies in time, in bytes; its own bound is 5 GiB.
const MAX_COPY_BYTES: u64 = 256 << 20;
/// Bytes of a part of a copy; more where 10,000 parts would not be enough.
const COPY_PART_BYTES: u64 = 512 << 20;
/// Parts of an object.
const MAX_PARTS: u64 = 10_000;
/// How long a copy may take.
const COPY: Duration = Duration::from_mins(15);

/// A bucket of S3.
#[derive(Debug)]
pub struct S3 {
    signed: Signed,
    abilities: Mutex<Option<Abilities>>,
}

impl S3 {
    /// A bucket with the credentials that the environment leads to. Nothing is sent yet, unless
    /// credentials come from a command.
    ///
    /// # Errors
    /// When there are no credentials, or the endpoint is no URL.
    pub fn connect(
        options: S3Options,
        environment: super::aws::Environment<'_>,
    ) -> Result<Self, BucketError> {
        Ok(Self { signed: Signed::new(options, environment)?, abilities: Mutex::new(None) })
    }

    fn asked<'a>(&'a self, request: &'static str, key: &'a str) -> Asked<'a> {
        Asked { request, bucket_url: self.signed.url(), key }
    }

    /// An answer that is a document, and is one.
    fn document(
        &self,
        asked: Asked<'_>,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, BucketError> {
        let reply = self.signed.call(asked, Method::GET, key, query, &[], &[], Bounds::DOCUMENT)?;
        if reply.is_success() { Ok(reply.body) } else { Err(self.failed(asked, &reply)) }
    }

    fn failed(&self, asked: Asked<'_>, reply: &Reply) -> BucketError {
        answers::failed(asked, reply, &self.signed.region())
    }

    /// Whether what has the key has these bytes, which a try whose answer was lost may have written.
    fn is_written(&self, key: &str, bytes: &[u8]) -> Result<Option<String>, BucketError> {
        let Some(object) = self.head(key)? else { return Ok(None) };
        if object.size_bytes != bytes.len() as u64 {
            return Ok(None);
        }
        let there = self.get(key, None, object.etag.as_deref())?;
        Ok(object.etag.filter(|_| there == bytes))
    }

    fn copy_at_once(&self, asked: Asked<'_>, from: &Object, to: &str) -> Result<(), BucketError> {
        let source = self.signed.copy_source(&from.key);
        let mut headers = self.signed.write_headers();
        headers.push(("x-amz-copy-source", source));
        if let Some(class) = &from.storage_class {
            headers.push(("x-amz-storage-class", class.clone()));
        }
        if let Some(etag) = &from.etag {
            headers.push(("x-amz-copy-source-if-match", format!("\"{etag}\"")));
        }
        let bounds = Bounds { time: COPY, ..Bounds::DOCUMENT };
        let reply = self.signed.call(asked, Method::PUT, to, &[], &headers, &[], bounds)?;
        // An error may come after the head of the answer was sent.
        if !reply.is_success() || xml::leaf(&reply.body, "ETag").is_none() {
            return Err(self.failed(asked, &reply));
        }
        Ok(())
    }

    fn copy_in_parts(&self, asked: Asked<'_>, from: &Object, to: &str) -> Result<(), BucketError> {
        let mut headers = self.signed.write_headers();
        if let Some(class) = &from.storage_class {
            headers.push(("x-amz-storage-class", class.clone()));
        }
        let query = [("uploads", "")];
        let reply =
            self.signed.call(asked, Method::POST, to, &query, &headers, &[], Bounds::DOCUMENT)?;
        let upload_id = reply.is_success().then(|| xml::leaf(&reply.body, "UploadId")).flatten();
        let Some(upload_id) = upload_id else { return Err(self.failed(asked, &reply)) };
        let copied = self.copy_parts(asked, from, to, &upload_id);
        if copied.is_err() {
            // What stays is listed as a multipart upload, and the error at hand matters more.
            drop(self.abort_multipart_upload(to, &upload_id));
        }
        copied
    }

    fn copy_parts(
        &self,
        asked: Asked<'_>,
        from: &Object,
        to: &str,
        upload_id: &str,
    ) -> Result<(), BucketError> {
        let part_bytes = COPY_PART_BYTES.max(from.size_bytes.div_ceil(MAX_PARTS));
        let source = self.signed.copy_source(&from.key);
        let mut parts = String::new();
        let mut start = 0;
        let mut number = 1_u32;
        while start < from.size_bytes {
            let end = (start + part_bytes).min(from.size_bytes);
            let mut headers = vec![
                ("x-amz-copy-source", source.clone()),
                ("x-amz-copy-source-range", format!("bytes={start}-{}", end - 1)),
            ];
            if let Some(etag) = &from.etag {
                headers.push(("x-amz-copy-source-if-match", format!("\"{etag}\"")));
            }
            let number_text = number.to_string();
            let query = [("partNumber", number_text.as_str()), ("uploadId", upload_id)];
            let bounds = Bounds { time: COPY, ..Bounds::DOCUMENT };
            let reply = self.signed.call(asked, Method::PUT, to, &query, &headers, &[], bounds)?;
            let etag = reply.is_success().then(|| xml::leaf(&reply.body, "ETag")).flatten();
            let Some(etag) = etag.and_then(|etag| xml::escaped(&etag)) else {
                return Err(self.failed(asked, &reply));
            };
            parts.extend([format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            )]);
            start = end;
            number += 1;
        }
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = [("uploadId", upload_id)];
        let bounds = Bounds { time: COPY, ..Bounds::DOCUMENT };
        let reply =
            self.signed.call(asked, Method::POST, to, &query, &[], body.as_bytes(), bounds)?;
        let is_there = reply.is_repeated && reply.status == 404 && self.head(to)?.is_some();
        if is_there || (reply.is_success() && xml::leaf(&reply.body, "ETag").is_some()) {
            return Ok(());
        }
        Err(self.failed(asked, &reply))
    }

    /// Deletes up to a thousand. Gives what stayed.
    fn delete_some(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        let asked = self.asked("DELETE", "");
        let mut left: Vec<&(String, Option<String>)> = Vec::new();
        let mut failures = Vec::new();
        for object in objects {
            // XML cannot hold every key.
            if xml::escaped(&object.0).is_some() {
                left.push(object);
                continue;
            }
            let condition =
                object.1.as_deref().map_or(DeleteCondition::Whatever, DeleteCondition::Version);
            if let Err(error) = self.delete(&object.0, condition) {
                failures.push((object.0.clone(), error));
            }
        }
        for round in 0.. {
            if left.is_empty() {
                break;
            }
            let mut body = String::from("<Delete><Quiet>true</Quiet>");
            for (key, version) in &left {
                let key = xml::escaped(key).unwrap_or_default();
                body.push_str("<Object><Key>");
                body.push_str(&key);
                body.push_str("</Key>");
                if let Some(version) = version.as_deref().and_then(xml::escaped) {
                    body.extend(["<VersionId>", &version, "</VersionId>"]);
                }
                body.push_str("</Object>");
            }
            body.push_str("</Delete>");
            let md5 = BASE64_STANDARD.encode(Md5::digest(body.as_bytes()));
            let headers = [("content-md5", md5), ("content-type", "application/xml".to_owned())];
            let query = [("delete", "")];
            let reply = self.signed.call(
                asked,
                Method::POST,
                "",
                &query,
                &headers,
                body.as_bytes(),
                Bounds::DOCUMENT,
            )?;
            if !reply.is_success() {
                return Err(self.failed(asked, &reply));
            }
            let errors = answers::deleted(&reply.body)
                .map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))?;
            let mut again = Vec::new();
            for Failed { key, version, code, message } in errors {
                let object = left
                    .iter()
                    .find(|(k, v)| *k == key && (version.is_none() || *v == version))
                    .copied();
                let is_passing = matches!(code.as_str(), "InternalError" | "SlowDown");
                match object {
                    Some(object) if is_passing && round < 4 => again.push(object),
                    _ if code == "NoSuchKey" || code == "NoSuchVersion" => {}
                    _ => {
                        let asked = self.asked("DELETE", &key);
                        let error = answers::error_of(asked, 403, &code, &message);
                        failures.push((key.clone(), error));
                    }
                }
            }
            if !again.is_empty() {
                std::thread::sleep(Duration::from_millis(200 << round));
            }
            left = again;
        }
        Ok(failures)
    }

    /// Whether plain deletions keep the content now.
    fn versioning(&self) -> Result<bool, BucketError> {
        Ok(self.versioning_status()?.as_deref() == Some("Enabled"))
    }

    /// `Enabled`, `Suspended`, or nothing where versions were never kept.
    fn versioning_status(&self) -> Result<Option<String>, BucketError> {
        let asked = self.asked("GET versioning", "");
        let reply = self.signed.call(
            asked,
            Method::GET,
            "",
            &[("versioning", "")],
            &[],
            &[],
            Bounds::DOCUMENT,
        )?;
        match reply.status {
            200 => Ok(xml::leaf(&reply.body, "Status")),
            // A server that has no such thing.
            404 | 405 | 501 => {
                let error = self.failed(asked, &reply);
                if error.kind == BucketErrorKind::NotFound { Err(error) } else { Ok(None) }
            }
            _ => Err(self.failed(asked, &reply).with_hint(
                "allow s3:GetBucketVersioning on the bucket: without it nothing is deleted",
            )),
        }
    }

    /// Whether conditions are honoured, tried with an object of its own.
    fn probe(&self, prefix: &str) -> Result<(bool, bool), BucketError> {
        let random = super::unique();
        let key = format!("{prefix}probe-{random}");
        self.put(&key, random.as_bytes(), PutCondition::Absent)?;
        let second = self.put(&key, b"second", PutCondition::Absent);
        let puts_if_absent = match second {
            Err(error) if error.kind == BucketErrorKind::Changed => true,
            Err(error) if error.kind == BucketErrorKind::Unsupported => false,
            Ok(_) => false,
            Err(error) => return Err(error),
        };
        let wrong = "00000000000000000000000000000000";
        let deleted = self.delete(&key, DeleteCondition::Etag(wrong));
        let deletes_by_etag = match deleted {
            Err(error) if error.kind == BucketErrorKind::Changed => self.head(&key)?.is_some(),
            Err(error) if error.kind == BucketErrorKind::Unsupported => false,
            Ok(()) => false,
            Err(error) => return Err(error),
        };
        self.delete(&key, DeleteCondition::Whatever)?;
        Ok((puts_if_absent, deletes_by_etag))
    }

    /// Removes what the probe left in a bucket with versions.
    fn forget_probe(&self, prefix: &str) -> Result<(), BucketError> {
        let page = self.list_versions(&format!("{prefix}probe-"), None)?;
        for version in page.versions {
            if let Some(id) = &version.object.version {
                self.delete(&version.object.key, DeleteCondition::Version(id))?;
            }
        }
        Ok(())
    }
}

impl Bucket for S3 {
    fn url(&self) -> &str {
        self.signed.url()
    }

    fn abilities(&self, probe_prefix: &str) -> Result<Abilities, BucketError> {
        let mut known = self.abilities.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(abilities) = *known {
            return Ok(abilities);
        }
        let has_versions = self.versioning()?;
        let (puts_if_absent, deletes_by_etag) = self.probe(probe_prefix)?;
        if has_versions {
            self.forget_probe(probe_prefix)?;
        }
        let abilities = Abilities {
            has_versions,
            soft_delete_seconds: None,
            deletes_by_etag,
            deletes_by_version: has_versions,
            version_deletes_are_final: true,
            puts_if_absent,
        };
        *known = Some(abilities);
        Ok(abilities)
    }

    fn may_keep_versions(&self) -> Result<bool, BucketError> {
        // Where they are suspended, those that there were stay.
        Ok(self.versioning_status()?.is_some_and(|status| !status.is_empty()))
    }

    fn requests(&self) -> u64 {
        self.signed.requests()
    }

    fn list(
        &self,
        prefix: &str,
        is_one_level: bool,
        next: Option<&str>,
    ) -> Result<Page, BucketError> {
        let asked = self.asked("LIST", prefix);
        let mut query = vec![("encoding-type", "url"), ("list-type", "2"), ("max-keys", "1000")];
        query.push(("prefix", prefix));
        if is_one_level {
            query.push(("delimiter", "/"));
        }
        if let Some(next) = next {
            query.push(("continuation-token", next));
        }
        let body = self.document(asked, "", &query)?;
        answers::page(&body).map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))
    }

    fn head(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let asked = self.asked("HEAD", key);
        let reply = self.signed.call(asked, Method::HEAD, key, &[], &[], &[], Bounds::DOCUMENT)?;
        match reply.status {
            200 => answers::head(key, &reply)
                .map(Some)
                .map_err(|reason| asked.error(BucketErrorKind::BadAnswer, reason)),
            404 => Ok(None),
            _ => Err(self.failed(asked, &reply)),
        }
    }

    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError> {
        let asked = self.asked("GET", key);
        let Some(wanted) = Wanted::new(range) else { return Ok(Vec::new()) };
        let mut headers: Vec<_> =
            wanted.header().map(|range| ("range", range)).into_iter().collect();
        headers.extend(etag.map(|etag| ("if-match", format!("\"{etag}\""))));
        let bounds = wanted.bounds();
        let reply = self.signed.call(asked, Method::GET, key, &[], &headers, &[], bounds)?;
        wanted.of(asked, reply, |reply| self.failed(asked, reply))
    }

    fn is_of_provider(&self) -> bool {
        self.signed.is_of_aws()
    }

    fn sha256(&self, key: &str, etag: Option<&str>) -> Result<Option<[u8; 32]>, BucketError> {
        let asked = self.asked("HEAD", key);
        let headers = [("x-amz-checksum-mode", "ENABLED".to_owned())];
        let bounds = Bounds::DOCUMENT;
        let reply = self.signed.call(asked, Method::HEAD, key, &[], &headers, &[], bounds)?;
        match reply.status {
            200 => Ok(answers::sha256(&reply, etag)),
            404 => Ok(None),
            _ => Err(self.failed(asked, &reply)),
        }
    }

    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError> {
        let asked = self.asked("PUT", key);
        let mut headers = self.signed.write_headers();
        headers.push(match condition {
            PutCondition::Absent => ("if-none-match", "*".to_owned()),
            PutCondition::Unchanged(etag) => ("if-match", format!("\"{etag}\"")),
        });
        let reply =
            self.signed.call(asked, Method::PUT, key, &[], &headers, bytes, Bounds::DOCUMENT)?;
        if reply.is_success() {
            let etag = reply.header("etag").map(|etag| etag.trim_matches('"').to_owned());
            return etag.ok_or_else(|| {
                asked.error(BucketErrorKind::BadAnswer, "it says no entity tag of what it wrote")
            });
        }
        let is_other = matches!(reply.status, 404 | 409 | 412);
        if is_other
            && reply.is_repeated
            && let Some(etag) = self.is_written(key, bytes)?
        {
            return Ok(etag);
        }
        let mut error = self.failed(asked, &reply);
        let is_gone = reply.status == 404 && matches!(condition, PutCondition::Unchanged(_));
        if is_gone && !error.reason.contains("NoSuchBucket") {
            error.kind = BucketErrorKind::Changed;
        }
        Err(error)
    }

    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError> {
        let asked = self.asked("COPY", &from.key);
        if self.head(to)?.is_some() {
            let taken = self.asked("COPY", to);
            return Err(taken.error(BucketErrorKind::Changed, "something has the key"));
        }
        if from.size_bytes <= MAX_COPY_BYTES {
            self.copy_at_once(asked, from, to)
        } else {
            self.copy_in_parts(asked, from, to)
        }
    }

    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError> {
        let asked = self.asked("DELETE", key);
        let mut headers = Vec::new();
        let mut query = Vec::new();
        match condition {
            DeleteCondition::Whatever => {}
            DeleteCondition::Etag(etag) => headers.push(("if-match", format!("\"{etag}\""))),
            DeleteCondition::Version(version) => query.push(("versionId", version)),
        }
        let reply = self.signed.call(
            asked,
            Method::DELETE,
            key,
            &query,
            &headers,
            &[],
            Bounds::DOCUMENT,
        )?;
        if reply.is_success() {
            return Ok(());
        }
        let error = self.failed(asked, &reply);
        let is_gone = reply.status == 404 && !error.reason.contains("NoSuchBucket");
        if is_gone { Ok(()) } else { Err(error) }
    }

    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        let chunks = Mutex::new(objects.chunks(DELETE_KEYS));
        let left = Mutex::new(Ok(Vec::new()));
        let work = || {
            loop {
                let next = chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                let Some(chunk) = next else { break };
                let result = self.delete_some(chunk);
                let mut left = left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match (&mut *left, result) {
                    (Ok(left), Ok(some)) => left.extend(some),
                    (Ok(_), Err(error)) => *left = Err(error),
                    (Err(_), _) => {}
                }
                if left.is_err() {
                    break;
                }
            }
        };
        let threads = objects.len().div_ceil(DELETE_KEYS).min(DELETE_THREADS);
        if threads <= 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
        }
        left.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError> {
        let asked = self.asked("LIST versions", prefix);
        let mut query = vec![("encoding-type", "url"), ("max-keys", "1000")];
        query.extend([("prefix", prefix), ("versions", "")]);
        if let Some((key, version)) = next.and_then(|next| next.rsplit_once('\0')) {
            query.push(("key-marker", key));
            if !version.is_empty() {
                query.push(("version-id-marker", version));
            }
        }
        let body = self.document(asked, "", &query)?;
        answers::versions(&body).map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))
    }

    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError> {
        let asked = self.asked("RESTORE", key);
        let mut next: Option<String> = None;
        let mut markers = Markers::default();
        loop {
            let page = self.list_versions(key, next.as_deref())?;
            markers.pass(self, key, page.next.as_deref())?;
            for found in &page.versions {
                if found.object.key != key {
                    continue;
                }
                if !found.is_deletion {
                    let is_it = found.object.version.as_deref() == Some(version);
                    return if is_it {
                        Ok(())
                    } else {
                        let reason = "another version of it is newer";
                        Err(asked.error(BucketErrorKind::Changed, reason))
                    };
                }
                if let Some(marker) = &found.object.version {
                    self.delete(key, DeleteCondition::Version(marker))?;
                }
            }
            // Of one key the newest comes first, and keys of which it is a prefix come after it.
            let is_past = page.versions.iter().any(|found| found.object.key != key);
            match page.next {
                Some(token) if !is_past => next = Some(token),
                _ => return Err(asked.error(BucketErrorKind::NotFound, "there is no such version")),
            }
        }
    }

    fn list_multipart_uploads(&self, prefix: &str) -> Result<Vec<MultipartUpload>, BucketError> {
        let asked = self.asked("LIST uploads", prefix);
        let bad = |reason: String| asked.error(BucketErrorKind::BadAnswer, &reason);
        let mut uploads = Vec::new();
        let mut marker: Option<(String, String)> = None;
        let mut markers = Markers::default();
        loop {
            let mut query = vec![("encoding-type", "url"), ("prefix", prefix), ("uploads", "")];
            if let Some((key, upload_id)) = &marker {
                query.push(("key-marker", key));
                query.push(("upload-id-marker", upload_id));
            }
            let body = self.document(asked, "", &query)?;
            let (some, next) = answers::uploads(&body).map_err(bad)?;
            uploads.extend(some);
            let Some((key, upload_id)) = next else { break };
            markers.pass(self, prefix, Some(&format!("{key}\0{upload_id}")))?;
            marker = Some((key, upload_id));
        }
        for upload in &mut uploads {
            let mut number: Option<String> = None;
            let mut markers = Markers::default();
            loop {
                let asked = self.asked("LIST parts", &upload.key);
                let mut query = vec![("uploadId", upload.upload_id.as_str())];
                if let Some(number) = &number {
                    query.push(("part-number-marker", number));
                }
                let body = match self.document(asked, &upload.key, &query) {
                    Ok(body) => body,
                    // It was completed or aborted meanwhile.
                    Err(error) if error.kind == BucketErrorKind::NotFound => break,
                    Err(error) => return Err(error),
                };
                let parts = answers::parts(&body)
                    .map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))?;
                upload.size_bytes += parts.size_bytes;
                upload.active_ns = upload.active_ns.max(parts.newest_ns);
                markers.pass(self, &upload.key, parts.next.as_deref())?;
                number = parts.next;
                if number.is_none() {
                    break;
                }
            }
        }
        Ok(uploads)
    }

    fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<(), BucketError> {
        let asked = self.asked("ABORT", key);
        let query = [("uploadId", upload_id)];
        let reply =
            self.signed.call(asked, Method::DELETE, key, &query, &[], &[], Bounds::DOCUMENT)?;
        if reply.is_success() || reply.status == 404 {
            Ok(())
        } else {
            Err(self.failed(asked, &reply))
        }
    }
}

/// `bucket/key`, as a copy names its source.
fn source_of(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encode(key, true))
}
