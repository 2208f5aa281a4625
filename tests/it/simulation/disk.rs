//! A file system in memory, with the errors of a real one and a clock that never stands still.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use regsql::storage::{Entry, FileFacts, FileKind, Leaf, LeafOptions, LeafState};

/// When the clock starts, in nanoseconds since 1970.
const START_NS: i64 = 1_760_000_000_000_000_000;
/// How far it goes with each change.
const TICK_NS: i64 = 1_000_000;

#[derive(Clone, Debug)]
enum Content {
    File(Arc<[u8]>),
    Directory(BTreeMap<OsString, Node>),
}

#[derive(Clone, Debug)]
struct Node {
    content: Content,
    modified_ns: i64,
    changed_ns: i64,
}

/// All files.
#[derive(Clone, Debug)]
pub struct Disk {
    root: Node,
    now_ns: i64,
}

type Names = BTreeMap<OsString, Node>;

impl Node {
    fn facts(&self) -> FileFacts {
        let (kind, size_bytes, permissions) = match &self.content {
            Content::File(bytes) => (FileKind::File, bytes.len() as u64, 0o644),
            Content::Directory(_) => (FileKind::Directory, 4096, 0o755),
        };
        let (modified_ns, changed_ns) = (self.modified_ns, self.changed_ns);
        FileFacts {
            kind,
            size_bytes,
            allocated_bytes: size_bytes,
            link_count: 1,
            modified_ns,
            changed_ns,
            inode: 0,
            owner: 0,
            permissions,
        }
    }

    fn names(&self) -> io::Result<&Names> {
        match &self.content {
            Content::Directory(names) => Ok(names),
            Content::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn below(&self, path: &Path) -> io::Result<&Self> {
        let mut node = self;
        for name in path.components() {
            node = node.names()?.get(name.as_os_str()).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }
}

impl Disk {
    /// Nothing but the root.
    pub fn new() -> Self {
        let content = Content::Directory(Names::new());
        let root = Node { content, modified_ns: START_NS, changed_ns: START_NS };
        Self { root, now_ns: START_NS }
    }

    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: std::time::Duration) {
        self.now_ns += duration.as_nanos() as i64;
    }

    fn tick(&mut self) -> i64 {
        self.now_ns += TICK_NS;
        self.now_ns
    }

    /// Changes the names of the directory that `path` lies in.
    fn change<T>(
        &mut self,
        path: &Path,
        change: impl FnOnce(&mut Names, &OsStr, i64) -> io::Result<T>,
    ) -> io::Result<T> {
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let name = path.file_name().filter(|_| is_plain).ok_or(io::ErrorKind::InvalidInput)?;
        let now_ns = self.tick();
        let mut node = &mut self.root;
        for part in path.parent().unwrap_or(Path::new("")).components() {
            let Content::Directory(names) = &mut node.content else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            node = names.get_mut(part.as_os_str()).ok_or(io::ErrorKind::NotFound)?;
        }
        let Content::Directory(names) = &mut node.content else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let changed = change(names, name, now_ns)?;
        (node.modified_ns, node.changed_ns) = (now_ns, now_ns);
        Ok(changed)
    }

    fn add(&mut self, path: &Path, content: Content) -> io::Result<()> {
        self.change(path, |names, name, now_ns| {
            if names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let node = Node { content, modified_ns: now_ns, changed_ns: now_ns };
            names.insert(name.to_owned(), node);
            Ok(())
        })
    }

    pub fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.add(path, Content::Directory(Names::new()))
    }

    pub fn create_directories(&mut self, path: &Path) {
        if self.stat(path).is_err() {
            if let Some(parent) = path.parent() {
                self.create_directories(parent);
            }
            self.create_directory(path).unwrap();
        }
    }

    pub fn write_new(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.add(path, Content::File(bytes.into()))
    }

    /// Makes the directories that lack, and writes or rewrites a file, as the registry does.
    pub fn put(&mut self, path: &Path, bytes: &[u8]) {
        self.create_directories(path.parent().unwrap());
        if self.stat(path).is_ok() {
            self.remove_file(path).unwrap();
        }
        self.write_new(path, bytes).unwrap();
    }

    pub fn copy_new(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.root.below(from)?.clone();
        self.add(to, node.content)?;
        self.change(to, |names, name, _| {
            names.get_mut(name).unwrap().modified_ns = node.modified_ns;
            Ok(())
        })
    }

    pub fn rename_new(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.root.below(from)?;
        self.change(to, |names, name, _| {
            let is_free = !names.contains_key(name);
            is_free.then_some(()).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
        })?;
        let mut node = self.change(from, |names, name, _| Ok(names.remove(name).unwrap()))?;
        self.change(to, |names, name, now_ns| {
            node.changed_ns = now_ns;
            names.insert(name.to_owned(), node);
            Ok(())
        })
    }

    pub fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.change(path, |names, name, _| match names.get(name).map(|node| &node.content) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Content::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Content::File(_)) => {
                names.remove(name);
                Ok(())
            }
        })
    }

    pub fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        self.change(path, |names, name, _| match names.get(name).map(|node| &node.content) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Content::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            Some(Content::Directory(inside)) if !inside.is_empty() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            Some(Content::Directory(_)) => {
                names.remove(name);
                Ok(())
            }
        })
    }

    /// Removes a directory with all below it; one that is missing is done.
    pub fn remove_all(&mut self, path: &Path) {
        let removed = self.change(path, |names, name, _| {
            names.remove(name);
            Ok(())
        });
        drop(removed);
    }

    pub fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        Ok(self.root.below(path)?.facts())
    }

    pub fn read(&self, path: &Path) -> io::Result<&[u8]> {
        match &self.root.below(path)?.content {
            Content::File(bytes) => Ok(bytes),
            Content::Directory(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let names = self.root.below(directory)?.names()?;
        let entry = |(name, node): (&OsString, &Node)| Entry {
            name: name.clone(),
            kind: node.facts().kind,
        };
        Ok(names.iter().map(entry).collect())
    }

    /// What lies at `directory/name/leaf`.
    pub fn leaf(
        &self,
        directory: &Path,
        name: &OsStr,
        leaf: &Path,
        options: LeafOptions,
    ) -> Option<Leaf> {
        let node = self.root.below(&directory.join(name)).ok()?;
        let state = match node.names() {
            Err(_) => LeafState::NotADirectory(FileKind::File),
            Ok(_) => match node.below(leaf) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => LeafState::Missing,
                Err(error) => LeafState::Unreadable(error),
                Ok(found) => match &found.content {
                    Content::Directory(_) => LeafState::NotAFile(found.facts()),
                    Content::File(bytes) => {
                        let is_trusted = options.trusted_size == Some(bytes.len() as u64);
                        let limit = options.content_limit.filter(|_| !is_trusted);
                        let content = limit.map(|limit| Ok(bytes[..limit.min(bytes.len())].into()));
                        LeafState::File { facts: found.facts(), content }
                    }
                },
            },
        };
        let first = leaf.components().next()?;
        let mut others = Vec::new();
        if options.list_others
            && let Ok(names) = node.names()
        {
            let beside = names.iter().filter(|(name, _)| *name != first.as_os_str());
            others.extend(
                beside.map(|(name, node)| Entry { name: name.clone(), kind: node.facts().kind }),
            );
        }
        Some(Leaf { name: name.to_owned(), state, others, beside: None })
    }
}
