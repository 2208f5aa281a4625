//! A storage over a bucket that answers from one listing, as small as it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use regsql::storage::object::{Bucket, BucketErrorKind, Listed, Object};
use regsql::storage::{
    Content, Entry, FileFacts, FileKind, Layout, Leaf, LeafOptions, LeafState, Storage, Streamed,
};

pub struct ListedStorage {
    bucket: Arc<dyn Bucket>,
    prefix: String,
    root: PathBuf,
    layout: Layout,
    table: RwLock<BTreeMap<String, Object>>,
}

impl ListedStorage {
    /// Not listed yet.
    pub fn new(bucket: Arc<dyn Bucket>, prefix: &str) -> Self {
        Self {
            root: PathBuf::from(format!("{}/{}", bucket.url(), prefix.trim_end_matches('/'))),
            bucket,
            prefix: prefix.to_owned(),
            layout: Layout::new("docker/registry/v2".into()),
            table: RwLock::default(),
        }
    }

    fn facts(object: &Object) -> FileFacts {
        FileFacts {
            kind: FileKind::File,
            size_bytes: object.size_bytes,
            modified_ns: object.modified_ns,
            changed_ns: object.modified_ns,
            inode: 0,
            owner: 0,
            permissions: 0o644,
        }
    }

    fn look_at(&self, path: &Path) -> io::Result<FileFacts> {
        let table = self.table.read().unwrap();
        let path = path.to_str().unwrap();
        if let Some(object) = table.get(path) {
            return Ok(Self::facts(object));
        }
        let below = format!("{path}/");
        let is_directory =
            table.range(below.clone()..).next().is_some_and(|(key, _)| key.starts_with(&below));
        if !is_directory {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(FileFacts {
            kind: FileKind::Directory,
            size_bytes: 0,
            modified_ns: 0,
            changed_ns: 0,
            inode: 0,
            owner: 0,
            permissions: 0o755,
        })
    }
}

fn error(error: regsql::storage::object::BucketError) -> io::Error {
    let kind = match error.kind {
        BucketErrorKind::NotFound => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Storage for ListedStorage {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let below = format!("{}/", directory.to_str().unwrap());
        let table = self.table.read().unwrap();
        let mut names: BTreeSet<(&str, bool)> = BTreeSet::new();
        for key in table.range(below.clone()..).map(|(key, _)| key) {
            let Some(rest) = key.strip_prefix(&below) else { break };
            match rest.split_once('/') {
                Some((name, _)) => names.insert((name, true)),
                None => names.insert((rest, false)),
            };
        }
        if names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let kind = |is_directory| if is_directory { FileKind::Directory } else { FileKind::File };
        let entries = names.into_iter();
        Ok(entries.map(|(name, is)| Entry { name: name.into(), kind: kind(is) }).collect())
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        let of = |entry: Entry| {
            let top = directory.join(&entry.name);
            let path = top.join(leaf);
            let state = match (entry.kind, self.look_at(&path)) {
                (FileKind::File, _) => LeafState::NotADirectory(FileKind::File),
                (_, Ok(facts)) if facts.kind == FileKind::File => {
                    let limit = options.content_limit;
                    let limit = limit.filter(|_| options.trusted_size != Some(facts.size_bytes));
                    let content = limit
                        .map(|limit| self.read(&path, limit as u64).map(|content| content.bytes));
                    LeafState::File { facts, content }
                }
                (_, Ok(facts)) => LeafState::NotAFile(facts),
                (_, Err(_)) => LeafState::Missing,
            };
            let first: OsString = leaf.iter().next().unwrap().into();
            let mut others = Vec::new();
            if options.list_others && entry.kind == FileKind::Directory {
                others = self.list(&top).unwrap_or_default();
                others.retain(|other| other.name != first);
            }
            Leaf { name: entry.name, state, others, beside: None }
        };
        Ok(self.list(directory)?.into_iter().map(of).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.look_at(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        let key = format!("{}{}", self.prefix, path.to_str().unwrap());
        let mut bytes = self.bucket.get(&key, Some(0..limit + 1), None).map_err(error)?;
        let is_whole = bytes.len() as u64 <= limit;
        bytes.truncate(limit as usize);
        Ok(Content { bytes, is_whole })
    }

    fn stream(
        &self,
        path: &Path,
        _buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        let facts = self.look_at(path)?;
        let content = self.read(path, u64::from(u32::MAX))?;
        let _ = take(&content.bytes);
        Ok(Streamed { facts, bytes: content.bytes.len() as u64 })
    }

    fn refresh(&self) -> io::Result<()> {
        let mut found = BTreeMap::new();
        for top in ["blobs/", "repositories/"] {
            let prefix = format!("{}docker/registry/v2/{top}", self.prefix);
            let mut next = None;
            loop {
                let page = self.bucket.list(&prefix, false, next.as_deref()).map_err(error)?;
                for object in page.objects {
                    let path = object.key[self.prefix.len()..].to_owned();
                    found.insert(path, object);
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
        *self.table.write().unwrap() = found;
        Ok(())
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Listed for ListedStorage {
    fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.bucket
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn objects_at(&self, path: &Path) -> Vec<Object> {
        let path = path.to_str().unwrap();
        let below = format!("{path}/");
        let table = self.table.read().unwrap();
        let all = table.range(path.to_owned()..);
        all.take_while(|(key, _)| key.starts_with(path))
            .filter(|(key, _)| *key == path || key.starts_with(&below))
            .map(|(_, object)| object.clone())
            .collect()
    }
}
