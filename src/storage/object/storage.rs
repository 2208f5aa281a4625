//! A registry in a bucket: it is listed once, and every question about names, sizes and times is answered from
//! that. Only contents are asked for, and those of most links are known from their MD5.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use md5::{Digest as _, Md5};
use rayon::prelude::*;
use rustix::io::Errno;

use super::azure::Azure;
use super::directories::{Group, Groups, Stamp, below, each_name};
use super::gcs::Gcs;
use super::hidden::{Checksums, noncurrent};
use super::inventory::{Inventory, Wanted};
use super::listing::{Large, Listing, Stray, list_all};
use super::s3::S3;
use super::table::{Item, Table, UPLOADING};
use super::{Bucket, BucketError, BucketErrorKind, Listed, Object, each_page};
use crate::model::authority::Configured;
use crate::model::progress::{Hidden, Progress};
use crate::storage::{
    BucketFacts, Content, DirectoryStamp, Entry, FileFacts, FileKind, InventoryFacts, Layout, Leaf,
    LeafOptions, LeafState, ObjectPlace, Provider, Storage, StrayName, Streamed,
};

/// Bytes of one request of a long read.
const PIECE_BYTES: u64 = 8 << 20;
/// Entries of a tag's history that are tried for what its link says.
const MAX_TRIED: usize = 1000;
/// `sha256:` and 64 hex digits.
const SHA256_LINK_BYTES: u64 = 71;

/// A registry's storage in a bucket.
pub struct ObjectStorage {
    bucket: Arc<dyn Bucket>,
    /// Nothing, or a prefix with a slash at its end.
    prefix: String,
    /// As people see it.
    root: PathBuf,
    /// What leads to it with its credentials.
    origin: PathBuf,
    layout: Layout,
    configured: Option<Configured>,
    listing: RwLock<Option<Arc<Listing>>>,
    /// When that began, unless an inventory is in its place.
    listed_at: Mutex<Option<Instant>>,
    /// Prefixes that were too large to be listed in one go.
    large: Large,
    /// Held while it is listed, so that many who ask first list once.
    refreshing: Mutex<()>,
    /// What the provider says beside, once it was asked.
    facts: Mutex<BucketFacts>,
    /// What is read instead of listing when the storage is prepared.
    inventory: Option<Inventory>,
    checksums: Checksums,
}

impl std::fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStorage").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Provider {
    /// The bucket, with the credentials that it or the environment has. Nothing is sent yet, unless
    /// credentials come from a command.
    ///
    /// # Errors
    /// When there are no credentials, or the endpoint is no URL.
    pub fn connect(&self) -> Result<Arc<dyn Bucket>, BucketError> {
        let variable = |name: &str| std::env::var(name).ok();
        Ok(match self {
            Self::S3(options) => Arc::new(S3::connect((**options).clone(), &variable)?),
            Self::Gcs(options) => Arc::new(Gcs::connect(options, &variable)?),
            Self::Azure(options) => Arc::new(Azure::connect(options, &variable)?),
        })
    }
}

impl ObjectStorage {
    /// The storage whose keys begin with `prefix`, which is empty or ends with a slash. Nothing is listed yet.
    pub fn new(bucket: Arc<dyn Bucket>, prefix: &str) -> Self {
        let root = format!("{}/{prefix}", bucket.url());
        let root = PathBuf::from(root.trim_end_matches('/'));
        Self {
            origin: root.clone(),
            root,
            bucket,
            prefix: prefix.to_owned(),
            layout: Layout::new("docker/registry/v2".into()),
            configured: None,
            listing: RwLock::default(),
            listed_at: Mutex::default(),
            large: Large::default(),
            refreshing: Mutex::default(),
            facts: Mutex::default(),
            inventory: None,
            checksums: Checksums::default(),
        }
    }

    /// The storage at a place, with the credentials that it or the environment has. Nothing is sent yet, unless
    /// credentials come from a command.
    ///
    /// # Errors
    /// When there are no credentials, or the endpoint is no URL.
    pub fn connect(place: &ObjectPlace) -> Result<Self, BucketError> {
        Ok(Self::new(place.provider.connect()?, &place.prefix))
    }

    /// The same, shown as `root` and found by `origin`, of a registry whose configuration may be known.
    #[must_use]
    pub fn shown_as(self, root: PathBuf, origin: PathBuf, configured: Option<Configured>) -> Self {
        Self { root, origin, configured, ..self }
    }

    /// The same, prepared by an inventory instead of a listing. For reports alone: what it says is of then.
    #[must_use]
    pub fn with_inventory(self, inventory: Inventory) -> Self {
        Self { inventory: Some(inventory), ..self }
    }

    /// What was listed, which the first who asks does.
    fn listing(&self) -> io::Result<Arc<Listing>> {
        if let Some(listing) = self.listed() {
            return Ok(listing);
        }
        let guard = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = self.listed() {
            return Ok(listing);
        }
        let listing = self.list_now(&Hidden)?;
        drop(guard);
        Ok(listing)
    }

    fn listed(&self) -> Option<Arc<Listing>> {
        self.listing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the keys of blobs and of repositories go on with after the prefix.
    fn tops(&self) -> [String; 2] {
        [self.layout.blobs(), self.layout.repositories()].map(|top| format!("{}/", top.display()))
    }

    /// Lists everything, `blobs` before `repositories`.
    fn list_now(&self, progress: &dyn Progress) -> io::Result<Arc<Listing>> {
        let began = Instant::now();
        let listing = list_all(&*self.bucket, &self.prefix, &self.tops(), &self.large, progress);
        let listing = self.keep(listing.map_err(to_io)?);
        *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(listing)
    }

    /// The same from an inventory, and what that says beside.
    fn read_inventory(
        &self,
        inventory: &Inventory,
        progress: &dyn Progress,
    ) -> io::Result<(Arc<Listing>, BucketFacts)> {
        let tops = self.tops();
        let wanted = Wanted { root_prefix: &self.prefix, tops: &tops };
        let (listing, noncurrent) =
            inventory.read(&*self.bucket, &wanted, progress).map_err(to_io)?;
        let facts = BucketFacts {
            noncurrent,
            multipart_uploads: listing.multipart_uploads,
            inventory: Some(InventoryFacts {
                address: inventory.address(),
                made_ns: inventory.made_ns(),
            }),
        };
        Ok((self.keep(listing), facts))
    }

    fn keep(&self, listing: Listing) -> Arc<Listing> {
        let listing = Arc::new(listing);
        *self.listing.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&listing));
        listing
    }

    /// Whether the listing has what lies at a path. What lies elsewhere is asked for each time.
    fn is_listed(&self, path: &Path) -> bool {
        path.starts_with(self.layout.blobs()) || path.starts_with(self.layout.repositories())
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// What is in the bucket where a registry is looked for and none is.
    fn nothing_here(&self) -> io::Result<io::Error> {
        let page = self.bucket.list(&self.prefix, true, None).map_err(to_io)?;
        let names = page.prefixes.iter().chain(page.objects.iter().map(|object| &object.key));
        let mut shown: Vec<_> = names.map(|name| name[self.prefix.len()..].to_owned()).collect();
        shown.sort_unstable();
        let is_v2 = ["blobs/", "repositories/"].iter().all(|half| shown.iter().any(|n| n == half));
        shown.truncate(5);
        let (reason, hint) = if is_v2 {
            let hint =
                "keys of a registry begin with docker/registry/v2/: copy these below such a prefix";
            ("blobs/ and repositories/ lie here without docker/registry/v2/".to_owned(), hint)
        } else if shown.is_empty() {
            let hint = "give the bucket and the rootdirectory of the registry's configuration, without \
                        docker/registry/v2; a registry without any push has no objects yet";
            ("nothing lies here".to_owned(), hint)
        } else {
            let hint = "give the prefix that docker/registry/v2/ lies below: the rootdirectory of the registry's \
                        configuration";
            (format!("no docker/registry/v2/ lies here, but {}", shown.join(", ")), hint)
        };
        let kind = BucketErrorKind::NotFound;
        let prefix = self.prefix.trim_end_matches('/');
        let error = BucketError::new(kind, "LIST", self.bucket.url(), prefix, &reason);
        Ok(to_io(error.with_hint(hint)))
    }

    /// Names in a directory that is not in the listing.
    fn list_elsewhere(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let prefix = self.key(&below(directory));
        let mut names = BTreeMap::new();
        each_page(&*self.bucket, &prefix, true, &mut |page| {
            for object in page.objects {
                if let Some(name) = object.key.strip_prefix(&prefix).filter(|name| !name.is_empty())
                {
                    names.entry(name.to_owned()).or_insert(FileKind::File);
                }
            }
            for below in page.prefixes {
                let name = below.strip_prefix(&prefix).map(|name| name.trim_end_matches('/'));
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    names.insert(name.to_owned(), FileKind::Directory);
                }
            }
        })
        .map_err(to_io)?;
        if names.is_empty() && !directory.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names.into_iter().map(|(name, kind)| Entry { name: name.into(), kind }).collect())
    }

    fn stat_elsewhere(&self, path: &str) -> io::Result<FileFacts> {
        if let Some(object) = self.bucket.head(&self.key(path)).map_err(to_io)? {
            return Ok(facts_of_object(&object));
        }
        let page = self.bucket.list(&self.key(&below(path)), true, None).map_err(to_io)?;
        if page.objects.is_empty() && page.prefixes.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(directory(0))
    }

    /// The content of an object as it was listed; as it is now, if it changed since and is small.
    fn content(&self, path: &str, item: Item<'_>, limit: u64) -> io::Result<Content> {
        let size_bytes = item.record.size_bytes;
        let key = self.key(path);
        // Azure's registry makes an object and then fills it: an empty one may no longer be.
        let etag = item.etag().filter(|_| size_bytes > 0);
        let mut was_changed = false;
        let got = match self.bucket.get(&key, Some(0..limit.saturating_add(1)), etag.as_deref()) {
            Err(error) if error.kind == BucketErrorKind::Changed => {
                was_changed = true;
                self.bucket.get(&key, Some(0..limit.saturating_add(1)), None)
            }
            got => got,
        };
        let bytes = got.map_err(|error| to_io(error.with_permission()))?;
        // A connection that ends early says so only where the answer has a length.
        if etag.is_some() && !was_changed && (bytes.len() as u64) < size_bytes.min(limit) {
            let reason = format!("it gave {} of {size_bytes} bytes", bytes.len());
            let kind = BucketErrorKind::BadAnswer;
            return Err(to_io(BucketError::new(kind, "GET", self.bucket.url(), &key, &reason)));
        }
        Ok(content_of(bytes, limit))
    }

    /// What a link says, where its MD5 proves it.
    fn known_link(path: &str, item: Item<'_>, table: &Table) -> Option<Vec<u8>> {
        let md5 = item.record.md5.filter(|_| item.record.size_bytes == SHA256_LINK_BYTES)?;
        let says = |hex: &str| {
            let text = format!("sha256:{hex}");
            (<[u8; 16]>::from(Md5::digest(&text)) == md5).then(|| text.into_bytes())
        };
        if let Some(tag) = path.strip_suffix("/current/link") {
            let index = format!("{tag}/index/sha256/");
            let mut entries = table.from(index.as_bytes());
            for _ in 0..MAX_TRIED {
                let entry = entries.key_below(index.as_bytes())?;
                if let Some(text) = entry.strip_suffix("/link").and_then(says) {
                    return Some(text);
                }
                entries.advance();
            }
            return None;
        }
        let (above, hex) = path.strip_suffix("/link")?.rsplit_once('/')?;
        above.ends_with("/sha256").then(|| says(hex)).flatten()
    }

    /// The leaf of a group of keys that begin with the same name.
    fn leaf(group: Group<'_>, options: LeafOptions) -> (Leaf, Option<usize>) {
        let name = OsString::from(group.name);
        let to_read = match &group.leaf {
            Some(item) => {
                let size_bytes = item.record.size_bytes;
                let limit = options.content_limit;
                limit.filter(|_| options.trusted_size != Some(size_bytes))
            }
            None => None,
        };
        let state = match group.leaf {
            _ if !group.is_directory => LeafState::NotADirectory(FileKind::File),
            Some(item) => LeafState::File { facts: facts_of(item), content: None },
            None if group.has_below_leaf => LeafState::NotAFile(directory(group.newest_ns)),
            None if group.is_blocked => LeafState::Unreadable(Errno::NOTDIR.into()),
            None => LeafState::Missing,
        };
        let others = group.others.into_iter();
        let others = others.map(|(name, kind)| Entry { name: name.into(), kind }).collect();
        (Leaf { name, state, others, beside: group.beside.finish() }, to_read)
    }
}

/// There are no directories in a bucket: what a registry's own would look like.
fn directory(newest_ns: i64) -> FileFacts {
    FileFacts { kind: FileKind::Directory, permissions: 0o755, ..file(0, newest_ns, 0) }
}

/// Objects have no owner and no permission bits: everyone may read them who may read the bucket.
fn file(size_bytes: u64, modified_ns: i64, number: u64) -> FileFacts {
    FileFacts {
        kind: FileKind::File,
        size_bytes,
        allocated_bytes: size_bytes,
        link_count: 1,
        modified_ns,
        changed_ns: modified_ns,
        inode: number,
        owner: 0,
        permissions: 0o644,
    }
}

fn facts_of(item: Item<'_>) -> FileFacts {
    file(item.record.size_bytes, item.record.modified_ns, item.number())
}

fn facts_of_object(object: &Object) -> FileFacts {
    file(object.size_bytes, object.modified_ns, 0)
}

/// `limit` and one more byte were asked for.
fn content_of(mut bytes: Vec<u8>, limit: u64) -> Content {
    let is_whole = bytes.len() as u64 <= limit;
    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Content { bytes, is_whole }
}

/// A path as a key has it.
fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// An error as the seam gives it, with the bucket's own inside.
pub(in crate::storage) fn to_io(error: BucketError) -> io::Error {
    let kind = match error.kind {
        BucketErrorKind::NotFound => io::ErrorKind::NotFound,
        BucketErrorKind::Denied => io::ErrorKind::PermissionDenied,
        BucketErrorKind::Changed => io::ErrorKind::StaleNetworkFileHandle,
        BucketErrorKind::Throttled | BucketErrorKind::Unavailable => io::ErrorKind::NotConnected,
        BucketErrorKind::Unsupported => io::ErrorKind::Unsupported,
        BucketErrorKind::BadAnswer => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

impl Storage for ObjectStorage {
    fn prepare(&self, progress: &dyn Progress) -> io::Result<()> {
        progress.phase("listing", None);
        let guard = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = if let Some(inventory) = &self.inventory {
            self.read_inventory(inventory, progress)?.1
        } else {
            let listing = self.list_now(progress)?;
            if listing.table.len() == 0 && listing.stray_count == 0 {
                return Err(self.nothing_here()?);
            }
            let [blobs, repositories] = self.tops().map(|top| self.key(&top));
            BucketFacts {
                noncurrent: noncurrent(&*self.bucket, &blobs, &repositories, progress),
                multipart_uploads: listing.multipart_uploads,
                inventory: None,
            }
        };
        drop(guard);
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
        Ok(())
    }

    fn keeps_empty_directories(&self) -> bool {
        false
    }

    fn bucket_facts(&self) -> Option<BucketFacts> {
        Some(self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn each_storage_class(&self, take: &mut dyn FnMut(&Path, &str)) {
        let Some(listing) = self.listed() else { return };
        let prefix = below(&self.layout.blobs().display().to_string());
        let mut cursor = listing.table.from(prefix.as_bytes());
        while let (Some(_), Some(item)) = (cursor.key_below(prefix.as_bytes()), cursor.item()) {
            if let (Some(key), Some(class)) = (cursor.key(), item.class()) {
                take(Path::new(key), class);
            }
            cursor.advance();
        }
    }

    fn strays(&self) -> (Vec<StrayName>, u64) {
        let Some(listing) = self.listed() else { return (Vec::new(), 0) };
        let named = listing.strays.iter().map(|stray: &Stray| StrayName {
            name: stray.key[self.prefix.len()..].to_owned(),
            reason: stray.reason,
        });
        (named.collect(), listing.stray_count)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let path = text(directory)?;
        if !self.is_listed(directory) {
            return self.list_elsewhere(path);
        }
        let listing = self.listing()?;
        let mut names = BTreeMap::new();
        each_name(&listing.table, path, |name, is_directory| {
            if is_directory {
                names.insert(name.to_owned(), FileKind::Directory);
            } else {
                names.entry(name.to_owned()).or_insert(FileKind::File);
            }
        });
        if names.is_empty() {
            let is_file = listing.table.get(path).is_some();
            return Err(if is_file {
                Errno::NOTDIR.into()
            } else {
                io::ErrorKind::NotFound.into()
            });
        }
        Ok(names.into_iter().map(|(name, kind)| Entry { name: name.into(), kind }).collect())
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        let path = text(directory)?;
        if !self.is_listed(directory) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let listing = self.listing()?;
        let table = &listing.table;
        let leaf = if leaf == Path::new(".") { "" } else { text(leaf)? };
        let mut groups = Groups::new(table, path, leaf, options);
        let mut leaves: Vec<(Leaf, Option<usize>)> = Vec::new();
        let mut files = Vec::new();
        while let Some(group) = groups.next() {
            let is_file = !group.is_directory;
            if leaf.is_empty() {
                leaves.push((itself(group), None));
                continue;
            }
            if is_file {
                files.push(leaves.len());
            }
            leaves.push(Self::leaf(group, options));
        }
        if leaves.is_empty() {
            let is_file = table.get(path).is_some();
            return Err(if is_file {
                Errno::NOTDIR.into()
            } else {
                io::ErrorKind::NotFound.into()
            });
        }
        // No path is a file and a directory: what has keys below it is a directory.
        if !files.is_empty() {
            let mut at = 0;
            let prefix = below(path);
            leaves.retain(|(leaf, _)| {
                let is_file = files.binary_search(&at).is_ok();
                at += 1;
                !is_file
                    || !leaf
                        .name
                        .to_str()
                        .is_some_and(|n| table.has_below(&format!("{prefix}{n}/")))
            });
        }
        leaves.par_iter_mut().for_each(|(found, to_read)| {
            if let Some(limit) = *to_read
                && let LeafState::File { content, .. } = &mut found.state
                && let Some(name) = found.name.to_str()
            {
                let path = format!("{path}/{name}/{leaf}");
                *content = table.get(&path).map(|item| {
                    if let Some(known) = Self::known_link(&path, item, table) {
                        return Ok(known);
                    }
                    Ok(self.content(&path, item, limit as u64)?.bytes)
                });
            }
        });
        Ok(leaves.into_iter().map(|(leaf, _)| leaf).collect())
    }

    fn stamp(&self, directory: &Path) -> io::Result<Option<DirectoryStamp>> {
        if !self.is_listed(directory) {
            return Ok(None);
        }
        let listing = self.listing()?;
        let prefix = below(text(directory)?);
        let mut cursor = listing.table.from(prefix.as_bytes());
        let mut stamp = Stamp::default();
        while let (Some(path), Some(item)) = (cursor.key_below(prefix.as_bytes()), cursor.item()) {
            stamp.add(path, item);
            cursor.advance();
        }
        stamp.finish().map(Some).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        let name = text(path)?;
        if !self.is_listed(path) {
            return self.stat_elsewhere(name);
        }
        let listing = self.listing()?;
        if listing.table.has_below(&below(name)) {
            return Ok(directory(0));
        }
        if let Some(item) = listing.table.get(name) {
            return Ok(facts_of(item));
        }
        // A push that ended while it was listed has links that came before the blob's turn was over.
        let is_blob = path.starts_with(self.layout.blobs()) && path.ends_with("data");
        match is_blob.then(|| self.bucket.head(&self.key(name))).transpose().map_err(to_io)? {
            Some(Some(object)) => Ok(facts_of_object(&object)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        let name = text(path)?;
        if self.is_listed(path) {
            let listing = self.listing()?;
            if let Some(item) = listing.table.get(name) {
                if let Some(known) = Self::known_link(name, item, &listing.table) {
                    return Ok(content_of(known, limit));
                }
                return self.content(name, item, limit);
            }
            if listing.table.has_below(&below(name)) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
        }
        self.read_anew(path, limit)
    }

    fn list_anew(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.list_elsewhere(text(directory)?)
    }

    fn read_anew(&self, path: &Path, limit: u64) -> io::Result<Content> {
        let range = Some(0..limit.saturating_add(1));
        let got = self.bucket.get(&self.key(text(path)?), range, None).map_err(to_io)?;
        Ok(content_of(got, limit))
    }

    fn stream(
        &self,
        path: &Path,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        let name = text(path)?;
        let key = self.key(name);
        let listing = self.listing()?;
        let listed = listing.table.get(name).map(|item| (facts_of(item), item.etag()));
        let (facts, etag) = match listed {
            Some(listed) => listed,
            None => match self.bucket.head(&key).map_err(to_io)? {
                Some(object) => (facts_of_object(&object), object.etag),
                None => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        let mut at = 0;
        while at < facts.size_bytes {
            let end = (at + PIECE_BYTES.max(buffer.len() as u64)).min(facts.size_bytes);
            let bytes = self.bucket.get(&key, Some(at..end), etag.as_deref()).map_err(to_io)?;
            if bytes.is_empty() {
                break;
            }
            for piece in bytes.chunks(buffer.len().max(1)) {
                at += piece.len() as u64;
                if take(piece).is_break() {
                    return Ok(Streamed { facts, bytes: at });
                }
            }
        }
        Ok(Streamed { facts, bytes: at })
    }

    fn proven_sha256(&self, path: &Path, trusts_any: bool) -> Option<[u8; 32]> {
        if !trusts_any && !self.bucket.is_of_provider() {
            return None;
        }
        // One request each is only worth it where there are any.
        if !self.checksums.are_worth_asking() {
            return None;
        }
        let name = path.to_str()?;
        let etag = self.listed()?.table.get(name)?.etag();
        // What cannot be asked is read.
        let found = self.bucket.sha256(&self.key(name), etag.as_deref()).ok().flatten();
        self.checksums.note(found.is_some());
        found
    }

    fn refresh(&self) -> io::Result<()> {
        let _guard = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        self.list_now(&Hidden).map(drop)
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn origin(&self) -> &Path {
        &self.origin
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn configured(&self) -> Option<&Configured> {
        self.configured.as_ref()
    }
}

/// An entry for which nothing below it was asked.
fn itself(group: Group<'_>) -> Leaf {
    let state = if group.is_directory {
        LeafState::NotAFile(directory(group.newest_ns))
    } else {
        LeafState::NotADirectory(FileKind::File)
    };
    Leaf { name: group.name.into(), state, others: Vec::new(), beside: None }
}

impl Listed for ObjectStorage {
    fn listed_at(&self) -> Option<Instant> {
        *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.bucket
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn objects_at(&self, path: &Path) -> io::Result<Vec<Object>> {
        let listing = self.listing()?;
        let name = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let is_there = |item: &Item<'_>| item.class() != Some(UPLOADING);
        let itself = listing.table.get(name).filter(is_there);
        let itself = itself.map(|item| item.object(self.key(name)));
        let mut objects: Vec<_> = itself.into_iter().collect();
        let prefix = below(name);
        let mut cursor = listing.table.from(prefix.as_bytes());
        while let (Some(_), Some(item)) = (cursor.key_below(prefix.as_bytes()), cursor.item()) {
            let key = cursor.key().filter(|_| is_there(&item)).map(|key| self.key(key));
            objects.extend(key.map(|key| item.object(key)));
            cursor.advance();
        }
        Ok(objects)
    }
}
