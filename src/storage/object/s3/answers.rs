//! What S3 answers, read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use super::super::http::{Asked, Reply, decode};
use super::super::xml::{self, Node};
use super::super::{
    BucketError, BucketErrorKind, MultipartUpload, Object, Page, Version, VersionPage, md5_of_hex,
};

/// One object of a listing, as its elements come.
#[derive(Debug, Default)]
struct Row {
    key: Option<String>,
    size_bytes: Option<u64>,
    modified_ns: Option<i64>,
    etag: Option<String>,
    class: Option<String>,
    version: Option<String>,
    is_latest: bool,
    upload_id: Option<String>,
}

impl Row {
    /// Takes an element of a row.
    fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "Key" => self.key = Some(text.to_owned()),
            "Size" => self.size_bytes = Some(text.parse().map_err(|_| bad("Size", text))?),
            "LastModified" | "Initiated" => self.modified_ns = Some(time(text)?),
            "ETag" => self.etag = Some(text.trim_matches('"').to_owned()),
            "StorageClass" => self.class = Some(text.to_owned()),
            "VersionId" => self.version = Some(text.to_owned()),
            "IsLatest" => self.is_latest = text == "true",
            "UploadId" => self.upload_id = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn object(self, is_encoded: bool, has_size: bool) -> Result<Object, String> {
        let key = self.key.ok_or("an object has no key")?;
        let size_bytes = match self.size_bytes {
            Some(size_bytes) => size_bytes,
            None if has_size => return Err(format!("`{key}` has no size")),
            None => 0,
        };
        let modified_ns = self.modified_ns.ok_or_else(|| format!("`{key}` has no time"))?;
        Ok(Object {
            key: if is_encoded { decode(&key, true) } else { key },
            size_bytes,
            modified_ns,
            md5: self.etag.as_deref().and_then(md5_of_hex),
            etag: self.etag,
            version: self.version,
            storage_class: self.class,
        })
    }
}

fn bad(name: &str, text: &str) -> String {
    format!("its {name} is `{text}`")
}

fn time(text: &str) -> Result<i64, String> {
    let time: Timestamp = text.parse().map_err(|_| bad("time", text))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| bad("time", text))
}

/// What a page says of itself.
#[derive(Debug, Default)]
struct Frame {
    is_encoded: bool,
    is_truncated: Option<bool>,
    next: Option<String>,
    next_key: Option<String>,
    next_version: Option<String>,
    next_upload: Option<String>,
}

impl Frame {
    fn take(&mut self, path: &str, text: &str) {
        match path {
            "EncodingType" => self.is_encoded = text == "url",
            "IsTruncated" => self.is_truncated = Some(text == "true"),
            "NextContinuationToken" => self.next = Some(text.to_owned()),
            "NextKeyMarker" => self.next_key = Some(text.to_owned()),
            "NextVersionIdMarker" => self.next_version = Some(text.to_owned()),
            "NextUploadIdMarker" => self.next_upload = Some(text.to_owned()),
            _ => {}
        }
    }

    fn key_marker(&mut self) -> Option<String> {
        let key = self.next_key.take()?;
        Some(if self.is_encoded { decode(&key, true) } else { key })
    }

    /// Whether a page follows.
    fn goes_on(&self) -> Result<bool, String> {
        self.is_truncated.ok_or_else(|| "it does not say whether it is all".to_owned())
    }
}

/// Reads rows named `names`; `take` gets each with the name of its element.
fn rows(
    body: &[u8],
    names: &[&str],
    take: &mut dyn FnMut(&str, Row) -> Result<(), String>,
) -> Result<Frame, String> {
    let mut frame = Frame::default();
    let mut row = Row::default();
    let mut error = None;
    xml::each(body, &mut |node| {
        let result = match node {
            Node::Leaf { path, text, .. } => match path.split_once('/') {
                Some((name, field)) if names.contains(&name) => row.take(field, text),
                _ => {
                    frame.take(path, text);
                    Ok(())
                }
            },
            Node::End { path } if names.contains(&path) => take(path, std::mem::take(&mut row)),
            Node::End { .. } => Ok(()),
        };
        if let Err(reason) = result {
            error.get_or_insert(reason);
        }
    })?;
    error.map_or(Ok(frame), Err)
}

pub(super) fn page(body: &[u8]) -> Result<Page, String> {
    let mut objects = Vec::new();
    let mut prefixes = Vec::new();
    let is_encoded = xml::leaf(body, "EncodingType").as_deref() == Some("url");
    let frame = rows(body, &["Contents"], &mut |_, row| {
        objects.push(row.object(is_encoded, true)?);
        Ok(())
    })?;
    xml::each(body, &mut |node| {
        if let Node::Leaf { path: "CommonPrefixes/Prefix", text, .. } = node {
            prefixes.push(if is_encoded { decode(text, true) } else { text.to_owned() });
        }
    })?;
    let next = if frame.goes_on()? {
        Some(frame.next.ok_or("it goes on and does not say where")?)
    } else {
        None
    };
    Ok(Page { objects, prefixes, next })
}

pub(super) fn versions(body: &[u8]) -> Result<VersionPage, String> {
    let mut versions = Vec::new();
    let is_encoded = xml::leaf(body, "EncodingType").as_deref() == Some("url");
    let mut frame = rows(body, &["Version", "DeleteMarker"], &mut |name, row| {
        let is_deletion = name == "DeleteMarker";
        let is_latest = row.is_latest;
        let object = row.object(is_encoded, !is_deletion)?;
        let is_current = is_latest && !is_deletion;
        versions.push((is_latest, Version { object, is_current, is_deletion }));
        Ok(())
    })?;
    // Some servers give all markers after all versions.
    versions.sort_by(|(a_is_latest, a), (b_is_latest, b)| {
        let by_key = a.object.key.cmp(&b.object.key);
        let by_latest = || b_is_latest.cmp(a_is_latest);
        let by_time = || b.object.modified_ns.cmp(&a.object.modified_ns);
        by_key.then_with(by_latest).then_with(by_time)
    });
    let versions = versions.into_iter().map(|(_, version)| version).collect();
    let next = if frame.goes_on()? {
        let key = frame.key_marker().ok_or("it goes on and does not say where")?;
        Some(format!("{key}\0{}", frame.next_version.unwrap_or_default()))
    } else {
        None
    };
    Ok(VersionPage { versions, next })
}

/// The key and the upload's id where the next page begins.
type Marker = Option<(String, String)>;

/// Uploads, and where the next page begins.
pub(super) fn uploads(body: &[u8]) -> Result<(Vec<MultipartUpload>, Marker), String> {
    let mut uploads = Vec::new();
    let is_encoded = xml::leaf(body, "EncodingType").as_deref() == Some("url");
    let mut frame = rows(body, &["Upload"], &mut |_, mut row| {
        let upload_id = row.upload_id.take().ok_or("an upload has no id")?;
        let object = row.object(is_encoded, false)?;
        uploads.push(MultipartUpload {
            key: object.key,
            upload_id,
            started_ns: object.modified_ns,
            size_bytes: 0,
            active_ns: object.modified_ns,
        });
        Ok(())
    })?;
    // A server without uploads may leave it out.
    let next = if frame.is_truncated == Some(true) {
        let key = frame.key_marker().ok_or("it goes on and does not say where")?;
        Some((key, frame.next_upload.unwrap_or_default()))
    } else {
        None
    };
    Ok((uploads, next))
}

/// Parts of an upload.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) size_bytes: u64,
    pub(super) newest_ns: i64,
    pub(super) next: Option<String>,
}

pub(super) fn parts(body: &[u8]) -> Result<Parts, String> {
    let mut parts = Parts::default();
    let mut next = None;
    let frame = rows(body, &["Part"], &mut |_, row| {
        parts.size_bytes += row.size_bytes.unwrap_or(0);
        parts.newest_ns = parts.newest_ns.max(row.modified_ns.unwrap_or(0));
        Ok(())
    })?;
    xml::each(body, &mut |node| {
        if let Node::Leaf { path: "NextPartNumberMarker", text, .. } = node {
            next = Some(text.to_owned());
        }
    })?;
    parts.next = next.filter(|_| frame.is_truncated == Some(true));
    Ok(parts)
}

pub(super) fn head(key: &str, reply: &Reply) -> Result<Object, &'static str> {
    let size = reply.header("content-length").and_then(|text| text.parse().ok());
    let time = reply.header("last-modified").and_then(super::super::http_time);
    let etag = reply.header("etag").map(|etag| etag.trim_matches('"').to_owned());
    Ok(Object {
        key: key.to_owned(),
        size_bytes: size.ok_or("it does not say the size")?,
        modified_ns: time.ok_or("it does not say the time")?,
        md5: etag.as_deref().and_then(md5_of_hex),
        etag,
        version: reply.header("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned),
        storage_class: reply.header("x-amz-storage-class").map(str::to_owned),
    })
}

/// The sha256 of the whole object in the answer to a HEAD, if it has this entity tag (Amazon S3 User Guide, "Checking
/// object integrity"). That of parts ends with their number. Of an archived object a HEAD says it, too, but no GET gives
/// the bytes before they are restored, so that nothing is proved of it.
pub(super) fn sha256(reply: &Reply, etag: Option<&str>) -> Option<[u8; 32]> {
    let found = reply.header("etag").map(|etag| etag.trim_matches('"'));
    if found != etag || etag.is_none() {
        return None;
    }
    let is_whole = |kind: &str| kind.eq_ignore_ascii_case("FULL_OBJECT");
    if !reply.header("x-amz-checksum-type").is_none_or(is_whole) || is_archived(reply) {
        return None;
    }
    BASE64_STANDARD.decode(reply.header("x-amz-checksum-sha256")?).ok()?.try_into().ok()
}

/// Whether no GET gives the object that a HEAD answered of: it is archived, and there is no restored copy of it.
fn is_archived(reply: &Reply) -> bool {
    let class = reply.header("x-amz-storage-class");
    let is_archived = matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
        || reply.header("x-amz-archive-status").is_some();
    let is_done = |restore: &str| restore.trim_start().starts_with("ongoing-request=\"false\"");
    is_archived && !reply.header("x-amz-restore").is_some_and(is_done)
}

/// A key that a bulk deletion left.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) key: String,
    pub(super) version: Option<String>,
    pub(super) code: String,
    pub(super) message: String,
}

pub(super) fn deleted(body: &[u8]) -> Result<Vec<Failed>, String> {
    let mut failed = Vec::new();
    let empty = || Failed {
        key: String::new(),
        version: None,
        code: String::new(),
        message: String::new(),
    };
    let mut row = empty();
    let mut is_result = true;
    xml::each(body, &mut |node| match node {
        Node::Leaf { path: "Error/Key", text, .. } => text.clone_into(&mut row.key),
        Node::Leaf { path: "Error/VersionId", text, .. } => {
            row.version = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        Node::Leaf { path: "Error/Code", text, .. } => text.clone_into(&mut row.code),
        Node::Leaf { path: "Error/Message", text, .. } => text.clone_into(&mut row.message),
        Node::End { path: "Error" } => failed.push(std::mem::replace(&mut row, empty())),
        // The whole answer is an error, with the status of a success.
        Node::Leaf { path: "Code", .. } => is_result = false,
        _ => {}
    })?;
    if is_result { Ok(failed) } else { Err("it is an error".to_owned()) }
}

/// The error that an answer is.
pub(super) fn failed(asked: Asked<'_>, reply: &Reply, region: &str) -> BucketError {
    let code = xml::leaf(&reply.body, "Code").unwrap_or_default();
    let message = xml::leaf(&reply.body, "Message").unwrap_or_default();
    let there = reply.header("x-amz-bucket-region").map(str::to_owned);
    let there = there.or_else(|| xml::leaf(&reply.body, "Region"));
    let error = reply.explain(error_of(asked, reply.status, &code, &message));
    match there.filter(|there| there != region) {
        Some(there) if matches!(reply.status, 301 | 307 | 400 | 403) => BucketError {
            kind: BucketErrorKind::Denied,
            ..error
        }
        .with_hint(format!(
            "the bucket is in region {there} and was asked for in {region}: set AWS_REGION={there}, or \
             `region` in the registry's configuration"
        )),
        // A redirect by name alone: a new bucket, or an old kind of address.
        None if matches!(reply.status, 301 | 307) => match xml::leaf(&reply.body, "Endpoint") {
            Some(endpoint) => error.with_hint(format!(
                "the bucket is at {endpoint}: set AWS_REGION to the region in that name, or give it as \
                 `?endpoint=` of the address"
            )),
            None => error.with_hint(format!(
                "the bucket is not in region {region}: set AWS_REGION, and check the endpoint"
            )),
        },
        _ => error,
    }
}

/// An error by its status, code and message.
pub(super) fn error_of(asked: Asked<'_>, status: u16, code: &str, message: &str) -> BucketError {
    use BucketErrorKind as Kind;
    let kind = match (status, code) {
        (_, "NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" | "NoSuchVersion") | (404, _) => {
            Kind::NotFound
        }
        (_, "PreconditionFailed" | "ConditionalRequestConflict") | (304 | 409 | 412, _) => {
            Kind::Changed
        }
        (_, "NotImplemented" | "MethodNotAllowed") | (405 | 501, _) => Kind::Unsupported,
        (_, "SlowDown") | (429 | 503, _) => Kind::Throttled,
        (_, "InternalError") | (408 | 500 | 502 | 504, _) => Kind::Unavailable,
        (301 | 307 | 401 | 403, _)
        | (_, "AuthorizationHeaderMalformed" | "InvalidToken" | "ExpiredToken") => Kind::Denied,
        _ => Kind::BadAnswer,
    };
    let words = match (code.is_empty(), message.is_empty()) {
        (true, _) => format!("the server answered {status}"),
        (false, true) => format!("{code} ({status})"),
        (false, false) => format!("{code} ({status}): {message}"),
    };
    let error = asked.error(kind, &words);
    let hint = match code {
        "NoSuchBucket" => "check the bucket's name and the endpoint; `bucket` and `regionendpoint` of the registry's \
            configuration have them"
            .to_owned(),
        "InvalidAccessKeyId" => "the access key is not known there: check the credentials, and \
            the endpoint if it is not AWS"
            .to_owned(),
        "SignatureDoesNotMatch" => "the secret key is not that of the access key".to_owned(),
        "RequestTimeTooSkewed" | "RequestExpired" => "set the clock of this machine".to_owned(),
        "ExpiredToken" | "InvalidToken" => "get new credentials: these have ended".to_owned(),
        "InvalidObjectState" => {
            "it is archived: restore it, or keep the registry's objects out of archive classes"
                .to_owned()
        }
        _ if matches!(kind, Kind::Denied) => permission_hint(asked.request),
        _ if matches!(kind, Kind::Throttled) => {
            "try again later, or with fewer --io-threads".into()
        }
        _ => return error,
    };
    error.with_hint(hint)
}

fn permission_hint(request: &str) -> String {
    let needed = match request {
        "LIST" => "s3:ListBucket on the bucket",
        "LIST versions" => "s3:ListBucketVersions on the bucket",
        "LIST uploads" => "s3:ListBucketMultipartUploads on the bucket",
        "LIST parts" => "s3:ListMultipartUploadParts on its objects",
        "GET versioning" => "s3:GetBucketVersioning on the bucket",
        "GET" | "HEAD" => "s3:GetObject on its objects, and kms:Decrypt on their key",
        "PUT" | "COPY" => "s3:PutObject and s3:GetObject on its objects",
        "ABORT" => "s3:AbortMultipartUpload on its objects",
        _ => "s3:DeleteObject and s3:DeleteObjectVersion on its objects",
    };
    format!("allow {needed} (docs/object-storage.md has whole policies)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<ListBucketResult><EncodingType>url</EncodingType>\
        <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
        <Contents><Key>a%2F%2F..%2F%01+b</Key><Size>7</Size>\
        <LastModified>2026-01-02T03:04:05.000Z</LastModified>\
        <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag>\
        <StorageClass>GLACIER</StorageClass></Contents>\
        <CommonPrefixes><Prefix>a%2Fb%2F</Prefix></CommonPrefixes></ListBucketResult>";

    #[test]
    fn keys_of_any_text_are_read_and_a_page_that_is_cut_is_none() {
        let page = page(PAGE.as_bytes()).unwrap();
        assert_eq!(page.objects[0].key, "a//../\u{1} b");
        assert_eq!(page.objects[0].modified_ns, 1_767_323_045_000_000_000);
        assert_eq!(page.objects[0].storage_class.as_deref(), Some("GLACIER"));
        assert!(page.objects[0].md5.is_some());
        assert_eq!(page.prefixes, ["a/b/"]);
        assert_eq!(page.next.as_deref(), Some("t"));
        for end in 0..PAGE.len() {
            assert!(super::page(&PAGE.as_bytes()[..end]).is_err(), "{end}");
        }
        for left_out in ["IsTruncated", "NextContinuationToken", "Size", "LastModified", "Key"] {
            let other = PAGE.replace(left_out, "Other");
            assert!(super::page(other.as_bytes()).is_err(), "{left_out}");
        }
    }

    #[test]
    fn only_a_checksum_of_the_whole_object_that_was_listed_proves_its_digest() {
        let reply = |headers: &[(&'static str, &str)]| {
            let mut map = http::HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            Reply { status: 200, headers: map, body: Vec::new(), is_repeated: false, tries: 1 }
        };
        let sha256_of = |kind: &str, value: &str| {
            let headers = [
                ("etag", "\"e\""),
                ("x-amz-checksum-type", kind),
                ("x-amz-checksum-sha256", value),
            ];
            sha256(&reply(&headers), Some("e"))
        };
        let whole = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
        assert_eq!(sha256_of("FULL_OBJECT", whole).unwrap()[..2], [0x2c, 0xf2]);
        assert_eq!(sha256_of("COMPOSITE", whole), None);
        assert_eq!(sha256_of("FULL_OBJECT", &format!("{whole}-2")), None);
        assert_eq!(sha256_of("FULL_OBJECT", "AAAA"), None);
        let untyped = [("etag", "\"e\""), ("x-amz-checksum-sha256", whole)];
        assert!(sha256(&reply(&untyped), Some("e")).is_some());
        assert_eq!(sha256(&reply(&untyped), Some("another")), None);
        assert_eq!(sha256(&reply(&untyped), None), None);
        assert_eq!(sha256(&reply(&untyped[..1]), Some("e")), None);
    }

    /// A HEAD answers of an archived object as of any other, and each GET of it fails: it is not intact before it is restored.
    #[test]
    fn a_checksum_proves_nothing_of_an_archived_object_that_nobody_restored() {
        const CLASS: &str = "x-amz-storage-class";
        const RESTORE: &str = "x-amz-restore";
        let proves = |more: &[(&'static str, &str)]| {
            let whole = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
            let mut headers = http::HeaderMap::new();
            for (name, value) in
                [("etag", "\"e\""), ("x-amz-checksum-sha256", whole)].iter().chain(more)
            {
                headers.insert(*name, value.parse().unwrap());
            }
            let reply =
                Reply { status: 200, headers, body: Vec::new(), is_repeated: false, tries: 1 };
            sha256(&reply, Some("e")).is_some()
        };
        let restored = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2030 00:00:00 GMT\"";
        for archived in [
            (CLASS, "GLACIER"),
            (CLASS, "DEEP_ARCHIVE"),
            ("x-amz-archive-status", "ARCHIVE_ACCESS"),
            ("x-amz-archive-status", "DEEP_ARCHIVE_ACCESS"),
        ] {
            assert!(!proves(&[archived]), "{archived:?}");
            assert!(!proves(&[archived, (RESTORE, "ongoing-request=\"true\"")]), "{archived:?}");
            assert!(proves(&[archived, (RESTORE, restored)]), "{archived:?}");
        }
        for readable in ["STANDARD", "STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"] {
            assert!(proves(&[(CLASS, readable)]), "{readable}");
        }
    }

    #[test]
    fn of_one_key_the_newest_version_comes_first_whatever_the_order_of_the_answer() {
        let body = "<R><IsTruncated>false</IsTruncated>\
            <Version><Key>k</Key><VersionId>1</VersionId><Size>1</Size><IsLatest>false</IsLatest>\
            <LastModified>2026-01-01T00:00:00Z</LastModified></Version>\
            <DeleteMarker><Key>k</Key><VersionId>2</VersionId><IsLatest>true</IsLatest>\
            <LastModified>2026-01-02T00:00:00Z</LastModified></DeleteMarker></R>";
        let page = versions(body.as_bytes()).unwrap();
        assert!(page.versions[0].is_deletion && !page.versions[0].is_current);
        assert_eq!(page.versions[1].object.version.as_deref(), Some("1"));
    }
}
