//! A server of object storage on a loopback port that answers what a test wants: S3's protocol over a bucket in
//! memory, and in front of it faults at any request.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use regsql::storage::object::memory::MemoryBucket;
use regsql::storage::object::{
    Bucket as _, BucketErrorKind, DeleteCondition, Object, PutCondition,
};

/// The bucket of every fake server.
pub const BUCKET: &str = "reg";

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    /// As it was asked for, with the query.
    pub target: String,
    /// Below the bucket, decoded.
    pub key: String,
    /// Decoded, in the order of the address.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A listing of objects in any of the three protocols.
    pub fn is_list(&self) -> bool {
        self.method == "GET"
            && ["list-type", "maxResults", "comp"].iter().any(|name| self.query(name).is_some())
    }

    /// Reads an object.
    pub fn is_get(&self) -> bool {
        self.method == "GET" && self.query.is_empty()
    }

    /// Deletes something.
    pub fn is_delete(&self) -> bool {
        self.method == "DELETE" || self.query("delete").is_some()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// After so many bytes of the body the connection is closed.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None }
    }

    /// An error as S3 and Azure say it.
    pub fn error(status: u16, code: &str, more: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code>{more}</Error>");
        Self::new(status, body).with("x-ms-error-code", code)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn send(&self, stream: &mut TcpStream, is_head: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} x\r\n", self.status);
        if !self.headers.iter().any(|(name, _)| name == "content-length") {
            write!(head, "content-length: {}\r\n", self.body.len()).unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend(&self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())]);
        }
        stream.write_all(&bytes)?;
        if self.cut.is_some() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

/// The server. It ends with the value.
pub struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
    has_ended: Arc<AtomicBool>,
}

impl Fake {
    /// Answers each request with what `answer` says.
    pub fn start(answer: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let has_ended = Arc::new(AtomicBool::new(false));
        let (answer, log, end) = (Arc::new(answer), Arc::clone(&asked), Arc::clone(&has_ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(ask) = read(&mut reader) {
                        log.lock().unwrap().push(ask.clone());
                        if answer(&ask).send(&mut stream, ask.method == "HEAD").is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, asked, has_ended }
    }

    /// S3 over a bucket in memory; `fault` may answer instead.
    pub fn s3(
        bucket: MemoryBucket,
        fault: impl Fn(&Ask) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |ask| fault(ask).unwrap_or_else(|| s3(&bucket, ask)))
    }

    /// The server's URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Ask> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let mut ask =
        Ask { method, target: target.clone(), key: decoded(key), query, headers, body: Vec::new() };
    let length = ask.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    ask.body = vec![0; length];
    reader.read_exact(&mut ask.body).ok()?;
    Some(ask)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let pair = (*first == b'%').then(|| std::str::from_utf8(&more[..2]).unwrap());
        bytes.push(pair.map_or(*first, |pair| u8::from_str_radix(pair, 16).unwrap()));
        rest = &more[if pair.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap()
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn time(object: &Object) -> Timestamp {
    Timestamp::from_nanosecond(object.modified_ns.into()).unwrap()
}

/// Answers as S3 does.
pub fn s3(bucket: &MemoryBucket, ask: &Ask) -> Answer {
    let etag = |name: &str| ask.header(name).map(|text| text.trim_matches('"').to_owned());
    let key = ask.key.as_str();
    let done = match (ask.method.as_str(), key) {
        ("GET", "") => return Answer::new(200, document(bucket, ask)),
        ("POST", "") => return Answer::new(200, delete_many(bucket, &ask.body)),
        ("HEAD" | "GET", _) => match bucket.head(key) {
            Ok(Some(object)) => {
                let range = ask.header("range").and_then(|text| text.strip_prefix("bytes="));
                let range = range.and_then(|text| text.split_once('-')).map(|(start, end)| {
                    start.parse().unwrap()..end.parse::<u64>().unwrap().saturating_add(1)
                });
                let status = if range.is_some() { 206 } else { 200 };
                bucket.get(key, range, etag("if-match").as_deref()).map(|bytes| {
                    let mut answer = Answer::new(status, bytes);
                    if ask.method == "HEAD" {
                        answer = answer.with("content-length", &object.size_bytes.to_string());
                    }
                    let modified = jiff::fmt::rfc2822::DateTimePrinter::new()
                        .timestamp_to_rfc9110_string(&time(&object))
                        .unwrap();
                    let etag = format!("\"{}\"", object.etag.unwrap());
                    answer.with("last-modified", &modified).with("etag", &etag)
                })
            }
            Ok(None) => return Answer::error(404, "NoSuchKey", ""),
            Err(error) => Err(error),
        },
        ("PUT", _) => {
            let expected = etag("if-match");
            let condition =
                expected.as_deref().map_or(PutCondition::Absent, PutCondition::Unchanged);
            let put = bucket.put(key, &ask.body, condition);
            put.map(|etag| Answer::new(200, "").with("etag", &format!("\"{etag}\"")))
        }
        ("DELETE", _) => {
            let expected = etag("if-match");
            let condition =
                expected.as_deref().map_or(DeleteCondition::Whatever, DeleteCondition::Etag);
            bucket.delete(key, condition).map(|()| Answer::new(204, ""))
        }
        _ => return Answer::error(501, "NotImplemented", ""),
    };
    done.unwrap_or_else(|error| match error.kind {
        BucketErrorKind::Changed => Answer::error(412, "PreconditionFailed", ""),
        BucketErrorKind::NotFound => Answer::error(404, "NoSuchKey", ""),
        _ => Answer::error(500, "InternalError", ""),
    })
}

fn document(bucket: &MemoryBucket, ask: &Ask) -> String {
    if ask.query("versioning").is_some() {
        return "<VersioningConfiguration></VersioningConfiguration>".to_owned();
    }
    if ask.query("uploads").is_some() {
        return "<R><IsTruncated>false</IsTruncated></R>".to_owned();
    }
    let prefix = ask.query("prefix").unwrap_or("");
    let is_one_level = ask.query("delimiter").is_some();
    let page = bucket.list(prefix, is_one_level, ask.query("continuation-token")).unwrap();
    let mut body = format!("<R><IsTruncated>{}</IsTruncated>", page.next.is_some());
    if let Some(next) = &page.next {
        let next = escaped(next);
        write!(body, "<NextContinuationToken>{next}</NextContinuationToken>").unwrap();
    }
    for object in &page.objects {
        let (key, at) = (escaped(&object.key), time(object));
        let etag = object.etag.as_deref().unwrap();
        write!(
            body,
            "<Contents><Key>{key}</Key><LastModified>{at}</LastModified><ETag>&quot;{etag}&quot;</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            object.size_bytes
        )
        .unwrap();
    }
    for below in &page.prefixes {
        let below = escaped(below);
        write!(body, "<CommonPrefixes><Prefix>{below}</Prefix></CommonPrefixes>").unwrap();
    }
    body + "</R>"
}

fn delete_many(bucket: &MemoryBucket, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    for part in body.split("<Key>").skip(1) {
        let key = part.split("</Key>").next().unwrap();
        let key = key.replace("&lt;", "<").replace("&quot;", "\"").replace("&amp;", "&");
        bucket.delete(&key, DeleteCondition::Whatever).unwrap();
    }
    "<DeleteResult></DeleteResult>".to_owned()
}
