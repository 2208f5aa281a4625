//! A server of S3's protocol for benchmarks: a made-up registry of any size, and a pause before each answer, as a
//! provider far away has. `cargo run --release --example bucket_server -- --keys 1000000 --delay-ms 50`.
//!
//! It prints its URL; when its standard input ends, it prints how many requests of each kind it answered.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use sha2::Sha256;

/// Serves a made-up registry as a bucket named `reg`.
#[derive(Parser, Clone)]
struct Args {
    /// Objects, about: thirteen for each image.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Repositories, of which the first have most of the images.
    #[arg(long, default_value_t = 1000)]
    repositories: u64,
    /// How long each answer takes at least, in milliseconds.
    #[arg(long, default_value_t = 50)]
    delay_ms: u64,
    /// Writes the bucket's inventory below this directory, too: `manifest.json` and files of CSV, as S3 does.
    #[arg(long, value_name = "DIR")]
    inventory: Option<PathBuf>,
}

const V2: &str = "docker/registry/v2";
const KEYS_OF_AN_IMAGE: u64 = 13;
const OWN_LAYERS: u64 = 3;
/// Layers that all images of a repository share.
const BASES: u64 = 50;
const PAGE: usize = 1000;
/// Rows in one file of the inventory.
const INVENTORY_ROWS: usize = 250_000;
/// When each object was written, and the inventory made.
const MODIFIED_AT: &str = "2026-01-02T03:04:05.000Z";
const MODIFIED_MS: u64 = 1_767_323_045_000;

/// A layer's number is part of its digest, so that a key says its size. Manifests and configs have digests of their
/// contents, which a scan compares.
#[derive(Clone, Copy)]
enum Kind {
    Layer = 1,
    Base,
}

/// 64 hex digits that are spread like those of a hash.
fn hex(kind: Kind, number: u64) -> String {
    let mut mixed = (number << 3 | kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!("{mixed:016x}{:02x}{number:014x}{mixed:032x}", kind as u64)
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}

fn digest_of(content: &str) -> String {
    hex_of(&Sha256::digest(content))
}

fn config(image: u64) -> String {
    format!(
        "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2026-01-02T03:04:05Z\",\"config\":{{\"Labels\":\
         {{\"org.opencontainers.image.version\":\"{image}\"}}}},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[]}}}}"
    )
}

fn manifest(image: u64) -> String {
    let layer = |kind, number: u64| {
        format!(
            "{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:{}\",\"size\":{}}}",
            hex(kind, number),
            layer_bytes(number)
        )
    };
    let own = (0..OWN_LAYERS).map(|at| layer(Kind::Layer, image * OWN_LAYERS + at));
    let layers: Vec<_> = std::iter::once(layer(Kind::Base, image % BASES)).chain(own).collect();
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\
         \"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:{}\",\"size\":{}}},\"layers\":[{}]}}",
        digest_of(&config(image)),
        config(image).len(),
        layers.join(",")
    )
}

fn layer_bytes(number: u64) -> u64 {
    1_000_000 + number % 100_000
}

fn data_key(hex: &str) -> String {
    format!("{V2}/blobs/sha256/{}/{hex}/data", &hex[..2])
}

/// What the server holds.
struct Held {
    /// All keys in order.
    keys: Vec<Box<str>>,
    /// Digests of manifests and configs, and their images.
    manifests: HashMap<String, u64>,
    configs: HashMap<String, u64>,
}

impl Held {
    fn new(args: &Args) -> Self {
        let mut held =
            Self { keys: Vec::new(), manifests: HashMap::new(), configs: HashMap::new() };
        let mut keys = Vec::new();
        let mut add = |key: String| keys.push(key.into_boxed_str());
        for base in 0..BASES {
            add(data_key(&hex(Kind::Base, base)));
        }
        let images = args.keys / KEYS_OF_AN_IMAGE;
        for image in 0..images {
            // A few repositories have many images: the square of a share.
            let share = image as f64 / images as f64;
            let repository = (share * share * args.repositories as f64) as u64;
            let top = format!("{V2}/repositories/team-{}/app-{repository}", repository % 40);
            let layers = (0..OWN_LAYERS).map(|at| hex(Kind::Layer, image * OWN_LAYERS + at));
            for layer in layers {
                add(data_key(&layer));
                add(format!("{top}/_layers/sha256/{layer}/link"));
            }
            let (config, manifest) = (digest_of(&config(image)), digest_of(&manifest(image)));
            add(data_key(&config));
            add(data_key(&manifest));
            add(format!("{top}/_layers/sha256/{config}/link"));
            add(format!("{top}/_layers/sha256/{}/link", hex(Kind::Base, image % BASES)));
            add(format!("{top}/_manifests/revisions/sha256/{manifest}/link"));
            add(format!("{top}/_manifests/tags/v{image}/current/link"));
            add(format!("{top}/_manifests/tags/v{image}/index/sha256/{manifest}/link"));
            held.configs.insert(config, image);
            held.manifests.insert(manifest, image);
        }
        keys.sort_unstable();
        keys.dedup();
        held.keys = keys;
        held
    }

    /// What a key holds, if it is small.
    fn content(&self, key: &str) -> Option<String> {
        if let Some(tag) = key.strip_suffix("/current/link") {
            let index = format!("{tag}/index/sha256/");
            let entry = self.keys.get(self.keys.partition_point(|other| **other < *index))?;
            return Some(format!("sha256:{}", entry.strip_prefix(&*index)?.strip_suffix("/link")?));
        }
        if let Some(directory) = key.strip_suffix("/link") {
            return Some(format!("sha256:{}", directory.rsplit('/').next()?));
        }
        let hex = key.strip_suffix("/data")?.rsplit('/').next()?;
        let config = || self.configs.get(hex).map(|image| config(*image));
        self.manifests.get(hex).map(|image| manifest(*image)).or_else(config)
    }

    fn size_bytes(&self, key: &str) -> u64 {
        let number = || {
            u64::from_str_radix(key.strip_suffix("/data")?.rsplit('/').next()?.get(18..32)?, 16)
                .ok()
        };
        let layer = || number().map_or(0, layer_bytes);
        self.content(key).map_or_else(layer, |content| content.len() as u64)
    }

    fn etag(&self, key: &str) -> String {
        let content = self.content(key).filter(|_| key.ends_with("/link"));
        hex_of(&Md5::digest(content.as_deref().unwrap_or(key)))
    }

    /// Amazon S3 User Guide, "Amazon S3 Inventory list".
    fn write_inventory(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory.join("data"))?;
        let mut files = Vec::new();
        for (number, keys) in self.keys.chunks(INVENTORY_ROWS).enumerate() {
            let name = format!("data/{number}.csv.gz");
            let mut file = GzEncoder::new(Vec::new(), Compression::fast());
            for key in keys {
                let (size_bytes, etag) = (self.size_bytes(key), self.etag(key));
                writeln!(
                    file,
                    "\"reg\",\"{key}\",\"{size_bytes}\",\"{MODIFIED_AT}\",\"{etag}\",\"STANDARD\""
                )?;
            }
            let bytes = file.finish()?;
            files.push(serde_json::json!({
                "key": name, "size": bytes.len(), "MD5checksum": hex_of(&Md5::digest(&bytes)),
            }));
            fs::write(directory.join(name), bytes)?;
        }
        let manifest = serde_json::json!({
            "sourceBucket": "reg", "destinationBucket": "arn:aws:s3:::inventories", "version": "2016-11-30",
            "creationTimestamp": MODIFIED_MS.to_string(), "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass", "files": files,
        });
        let bytes = serde_json::to_vec(&manifest)?;
        fs::write(directory.join("manifest.checksum"), hex_of(&Md5::digest(&bytes)))?;
        fs::write(directory.join("manifest.json"), bytes)?;
        Ok(())
    }
}

fn page(held: &Held, query: &BTreeMap<String, String>) -> String {
    let keys = &held.keys;
    let prefix = query.get("prefix").map_or("", String::as_str);
    let is_one_level = query.contains_key("delimiter");
    let mut at = match query.get("continuation-token") {
        Some(token) => token.parse().unwrap_or(keys.len()),
        None => keys.partition_point(|key| **key < *prefix),
    };
    let (mut rows, mut count) = (String::new(), 0);
    while let Some(key) = keys.get(at).filter(|key| key.starts_with(prefix) && count < PAGE) {
        count += 1;
        if let Some(end) = key[prefix.len()..].find('/').filter(|_| is_one_level) {
            let below = &key[..=prefix.len() + end];
            write!(rows, "<CommonPrefixes><Prefix>{below}</Prefix></CommonPrefixes>")
                .expect("a string takes any text");
            at += keys[at..].partition_point(|key| key.starts_with(below));
            continue;
        }
        let etag = held.etag(key);
        write!(
            rows,
            "<Contents><Key>{key}</Key><LastModified>{MODIFIED_AT}</LastModified>\
             <ETag>&quot;{etag}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            held.size_bytes(key)
        )
        .expect("a string takes any text");
        at += 1;
    }
    let is_truncated = keys.get(at).is_some_and(|key| key.starts_with(prefix));
    let next = if is_truncated {
        format!("<NextContinuationToken>{at}</NextContinuationToken>")
    } else {
        String::new()
    };
    format!(
        "<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>{next}{rows}</ListBucketResult>"
    )
}

struct Server {
    held: Held,
    delay: Duration,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Server {
    /// The kind of a request, the status and the body.
    fn answer(
        &self,
        method: &str,
        target: &str,
        range: Option<usize>,
    ) -> (&'static str, u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<_, _> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
            .collect();
        let key = path.trim_start_matches('/').strip_prefix("reg/").unwrap_or_default();
        match method {
            "GET" if query.contains_key("list-type") => ("LIST", 200, page(&self.held, &query)),
            "GET" if key.is_empty() => {
                ("LIST uploads", 200, "<R><IsTruncated>false</IsTruncated></R>".to_owned())
            }
            "GET" if self.held.keys.binary_search_by(|other| (**other).cmp(key)).is_ok() => {
                let name = if key.ends_with("/link") {
                    "GET of a link"
                } else {
                    "GET of a manifest or config"
                };
                let mut content = self.held.content(key).unwrap_or_default();
                content.truncate(range.map_or(content.len(), |end| end + 1));
                (name, if range.is_some() { 206 } else { 200 }, content)
            }
            _ => (
                "of a key that is not there",
                404,
                "<Error><Code>NoSuchKey</Code></Error>".to_owned(),
            ),
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let (method, target) = (method.to_owned(), target.to_owned());
            let mut range = None;
            loop {
                line.clear();
                if reader.read_line(&mut line)? <= 2 {
                    break;
                }
                if let Some((_, end)) =
                    line.strip_prefix("range: bytes=").and_then(|r| r.split_once('-'))
                {
                    range = end.trim().parse().ok();
                }
            }
            line.clear();
            std::thread::sleep(self.delay);
            let (name, status, body) = self.answer(&method, &target, range);
            *self
                .counts
                .lock()
                .expect("no thread panics while it counts")
                .entry(name)
                .or_default() += 1;
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    let server = Arc::new(Server {
        held: Held::new(&args),
        delay: Duration::from_millis(args.delay_ms),
        counts: Mutex::default(),
    });
    if let Some(directory) = &args.inventory {
        server.held.write_inventory(directory).context("cannot write the inventory")?;
    }
    let mut out = io::stdout();
    writeln!(out, "http://{}\t{} keys", listener.local_addr()?, server.held.keys.len())?;
    out.flush()?;
    let serving = Arc::clone(&server);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&serving);
            // A client that goes ends its connection.
            std::thread::spawn(move || drop(server.serve(stream)));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    for (name, count) in &*server.counts.lock().expect("no thread panics while it counts") {
        writeln!(out, "{name}\t{count}")?;
    }
    Ok(())
}
