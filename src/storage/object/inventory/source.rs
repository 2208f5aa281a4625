//! Where an inventory's files lie: in a bucket, or copied into a directory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::manifest::PlannedFile;
use super::{LIST_INSTEAD, Refused};
use crate::storage::object::{Bucket, BucketError, BucketErrorKind, hex};
use crate::storage::{Location, ObjectPlace, Place, Provider, locate};

/// The longest manifest that is read, in bytes. One of 100 million objects names some hundred files.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// The longest checksum file that is read, in bytes.
const MAX_CHECKSUM_BYTES: u64 = 1 << 10;
/// Bytes of one request.
const PIECE_BYTES: u64 = 8 << 20;

pub(super) enum Source {
    /// A bucket, and the key of the manifest.
    Bucket { bucket: Arc<dyn Bucket>, key: String },
    /// The path of the manifest.
    Directory { manifest: PathBuf },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

/// The MD5 of bytes, in hex digits.
pub(super) fn md5_of(bytes: &[u8]) -> String {
    hex(&<[u8; 16]>::from(Md5::digest(bytes)))
}

fn bad(address: &str, reason: &str) -> BucketError {
    BucketError::new(BucketErrorKind::BadAnswer, "READ", address, "", reason)
}

impl Source {
    /// The manifest at an address of a bucket or a path. One of the same provider as the registry's is reached as
    /// that is.
    pub(super) fn find(given: &str, place: &ObjectPlace) -> Result<Self, BucketError> {
        if !given.contains("://") {
            return Ok(Self::Directory { manifest: PathBuf::from(given) });
        }
        let located = locate(Path::new(given));
        let there = match located {
            Ok(Location { place: Place::Object(there), .. }) => there,
            Ok(_) => return Err(bad(given, "it is no address of a bucket")),
            Err(error) => {
                let refused = bad(given, &error.to_string());
                return Err(match error.hint() {
                    Some(hint) => refused.with_hint(hint),
                    None => refused,
                });
            }
        };
        let key = there.prefix.trim_end_matches('/').to_owned();
        let bucket = as_beside(there.provider, &place.provider).connect()?;
        Ok(Self::Bucket { bucket, key })
    }

    pub(super) fn address(&self) -> String {
        match self {
            Self::Bucket { bucket, key } => format!("{}/{key}", bucket.url()),
            Self::Directory { manifest } => manifest.display().to_string(),
        }
    }

    /// The error that something of it cannot be taken; `file` is one of its files, or nothing for the manifest.
    pub(super) fn refused(&self, file: &str, why: Refused) -> BucketError {
        let reason =
            if file.is_empty() { why.reason } else { format!("its file `{file}`: {}", why.reason) };
        bad(&self.address(), &reason).with_hint(why.hint.unwrap_or_else(|| LIST_INSTEAD.to_owned()))
    }

    /// The manifest's bytes.
    pub(super) fn manifest(&self) -> Result<Vec<u8>, BucketError> {
        let bytes = match self {
            Self::Bucket { bucket, key } => {
                bucket.get(key, Some(0..MAX_MANIFEST_BYTES + 1), None)?
            }
            Self::Directory { manifest } => read(manifest, MAX_MANIFEST_BYTES + 1)?,
        };
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(self.refused("", Refused::new("it is too large for a manifest")));
        }
        Ok(bytes)
    }

    /// The name of the file with the manifest's checksum: beside `manifest.json` it is `manifest.checksum`, and
    /// beside Azure's `RULE-manifest.json` it is `RULE-manifest.checksum`.
    pub(super) fn checksum_name(&self) -> String {
        let name = match self {
            Self::Bucket { key, .. } => key.rsplit('/').next().unwrap_or(key).to_owned(),
            Self::Directory { manifest } => manifest
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        };
        let stem = name.strip_suffix(".json").unwrap_or(&name);
        format!("{stem}.checksum")
    }

    /// A small file in the manifest's directory.
    pub(super) fn neighbour(&self, name: &str) -> Result<Vec<u8>, BucketError> {
        let missing = || {
            let reason = format!("`{name}` is not beside it");
            let hint = "the provider writes it last: the inventory is not complete yet, or it was not copied";
            self.refused("", Refused::with_hint(reason, hint))
        };
        match self {
            Self::Bucket { bucket, key } => {
                let key = beside(key, name);
                match bucket.get(&key, Some(0..MAX_CHECKSUM_BYTES), None) {
                    Err(error) if error.kind == BucketErrorKind::NotFound => Err(missing()),
                    got => got,
                }
            }
            Self::Directory { manifest } => {
                let path = manifest.with_file_name(name);
                if !path.exists() {
                    return Err(missing());
                }
                read(&path, MAX_CHECKSUM_BYTES)
            }
        }
    }

    /// A file of the inventory, whole: its size and checksum are what the manifest says.
    pub(super) fn fetch(&self, file: &PlannedFile) -> Result<File, BucketError> {
        let refused = |reason: String| self.refused(&file.key, Refused::new(reason));
        let Fetched { mut file_kept, size_bytes, md5, stored_md5 } = match self {
            Self::Bucket { bucket, key } => self.download(&**bucket, key, file)?,
            Self::Directory { manifest } => {
                let path = find_below(manifest, &file.key).ok_or_else(|| missing(self, file))?;
                let on_error = |error: io::Error| refused(error.to_string());
                let mut found = File::open(&path).map_err(on_error)?;
                let mut md5 = Md5::new();
                let mut size_bytes = 0;
                let mut piece = vec![0; 1 << 16];
                loop {
                    let length = found.read(&mut piece).map_err(on_error)?;
                    if length == 0 {
                        break;
                    }
                    md5.update(&piece[..length]);
                    size_bytes += length as u64;
                }
                let md5 = md5.finalize().into();
                Fetched { file_kept: found, size_bytes, md5, stored_md5: None }
            }
        };
        if let Some(expected) = file.size_bytes.filter(|expected| *expected != size_bytes) {
            return Err(refused(format!(
                "it has {size_bytes} bytes, and the manifest says {expected}"
            )));
        }
        if let Some(expected) = file.md5.or(stored_md5).filter(|expected| *expected != md5) {
            let (md5, expected) = (hex(&md5), hex(&expected));
            return Err(refused(format!("its MD5 is {md5}, and not {expected}")));
        }
        file_kept.rewind().map_err(|error| refused(error.to_string()))?;
        Ok(file_kept)
    }

    /// A file of its bucket.
    fn download(
        &self,
        bucket: &dyn Bucket,
        manifest: &str,
        file: &PlannedFile,
    ) -> Result<Fetched, BucketError> {
        let on_error = |error: io::Error| {
            let reason =
                format!("it cannot be kept in {}: {error}", std::env::temp_dir().display());
            let hint = "name a directory with room for one file of the inventory with TMPDIR";
            self.refused(&file.key, Refused::with_hint(reason, hint))
        };
        let mut object = None;
        for key in places(manifest, &file.key) {
            object = bucket.head(&key)?;
            if object.is_some() {
                break;
            }
        }
        let object = object.ok_or_else(|| missing(self, file))?;
        if let Some(expected) = file.size_bytes.filter(|expected| *expected != object.size_bytes) {
            let reason =
                format!("it has {} bytes, and the manifest says {expected}", object.size_bytes);
            return Err(self.refused(&file.key, Refused::new(reason)));
        }
        let mut kept = tempfile::tempfile().map_err(on_error)?;
        let mut md5 = Md5::new();
        let mut at = 0;
        while at < object.size_bytes {
            let end = (at + PIECE_BYTES).min(object.size_bytes);
            let bytes = bucket.get(&object.key, Some(at..end), object.etag.as_deref())?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            md5.update(&bytes);
            kept.write_all(&bytes).map_err(on_error)?;
        }
        // Of S3 it may be another number of the same form; there the manifest has one.
        let stored_md5 = object.md5.filter(|_| !bucket.url().starts_with("s3://"));
        let md5 = md5.finalize().into();
        Ok(Fetched { file_kept: kept, size_bytes: at, md5, stored_md5 })
    }
}

/// A file of the inventory, before it is compared with the manifest.
struct Fetched {
    file_kept: File,
    size_bytes: u64,
    md5: [u8; 16],
    /// What the provider keeps.
    stored_md5: Option<[u8; 16]>,
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BucketError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let hint =
            "give the manifest: a path, or its address in the bucket that the provider writes to";
        bad(&path.display().to_string(), &error.to_string()).with_hint(hint)
    })?;
    Ok(bytes)
}

fn missing(source: &Source, file: &PlannedFile) -> BucketError {
    let hint = "copy it beside the manifest, or give the manifest's address in the bucket that the provider writes to";
    source.refused(&file.key, Refused::with_hint("it is not there", hint))
}

/// Another bucket of the same provider is reached as the registry's own.
fn as_beside(there: Provider, own: &Provider) -> Provider {
    match (there, own) {
        (Provider::S3(there), Provider::S3(own)) if there.endpoint.is_none() => {
            let mut options = own.clone();
            options.bucket = there.bucket;
            options.region = there.region.or(options.region);
            Provider::S3(options)
        }
        (Provider::S3(there), Provider::S3(own)) => {
            let mut options = there;
            options.access.clone_from(&own.access);
            options.skips_verification = own.skips_verification;
            Provider::S3(options)
        }
        (Provider::Gcs(there), Provider::Gcs(own)) if there.endpoint.is_none() => {
            let mut options = own.clone();
            options.bucket = there.bucket;
            Provider::Gcs(options)
        }
        (Provider::Azure(there), Provider::Azure(own)) if there.account == own.account => {
            let mut options = own.clone();
            options.container = there.container;
            options.endpoint = there.endpoint.or(options.endpoint);
            Provider::Azure(options)
        }
        (there, _) => there,
    }
}

/// The key of another file in the directory of one.
fn beside(key: &str, name: &str) -> String {
    key.rsplit_once('/')
        .map_or_else(|| name.to_owned(), |(directory, _)| format!("{directory}/{name}"))
}

/// Where in a bucket a file of an inventory may be: where its provider put it, or copied with the manifest.
fn places(manifest: &str, file: &str) -> Vec<String> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let directory = manifest.rsplit_once('/').map_or("", |(directory, _)| directory);
    let above = directory.rsplit_once('/').map_or("", |(above, _)| above);
    let data =
        if above.is_empty() { format!("data/{name}") } else { format!("{above}/data/{name}") };
    let mut places = vec![beside(manifest, name), data];
    // A name without a directory is meant to be beside the manifest.
    places.insert(usize::from(!file.contains('/')), file.to_owned());
    places
}

/// The same in a directory, below whichever of its parents the bucket was copied to.
fn find_below(manifest: &Path, file: &str) -> Option<PathBuf> {
    let key = Path::new(file);
    if !key.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let name = key.file_name()?;
    let directory = manifest.parent()?;
    let copied = directory.ancestors().map(|above| above.join(key));
    let mut places = copied.chain([directory.join(name), directory.join("../data").join(name)]);
    places.find(|path| path.is_file())
}
