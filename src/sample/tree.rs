//! Files and directories in memory, and the writing of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file of this many bytes, all zero and none of them stored, where the file system can.
    Sparse(u64),
    /// A directory that is there even when nothing is in it.
    Directory,
}

/// One path's content and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub content: Content,
    /// When it was last written; the moment of writing when `None`. Directories keep the latter.
    pub modified: Option<SystemTime>,
}

impl Entry {
    /// The file's size in bytes; `None` for a directory.
    pub fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Sparse(size) => Some(*size),
            Content::Directory => None,
        }
    }
}

/// Files by their path below a root that is not known yet.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Puts an entry, in place of what was there.
    pub fn put(&mut self, path: impl Into<String>, entry: Entry) {
        self.entries.insert(path.into(), entry);
    }

    /// What is at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Removes a file or a directory with all below it. True when something was there.
    pub fn remove(&mut self, path: &str) -> bool {
        let below = format!("{path}/");
        let before = self.entries.len();
        self.entries.retain(|key, _| key != path && !key.starts_with(&below));
        self.entries.len() < before
    }

    /// Every entry in path order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Writes all of it below `root`, over what is there.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        let named = |target: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", target.display()))
        };
        for (path, entry) in &self.entries {
            let target = root.join(path);
            write_entry(&target, entry).map_err(|error| named(&target, error))?;
        }
        // A directory's time changes with what is put into it, so it is set last.
        for (path, entry) in &self.entries {
            if let (Content::Directory, Some(time)) = (&entry.content, entry.modified) {
                let target = root.join(path);
                File::open(&target)
                    .and_then(|directory| directory.set_modified(time))
                    .map_err(|error| named(&target, error))?;
            }
        }
        Ok(())
    }
}

fn write_entry(target: &Path, entry: &Entry) -> io::Result<()> {
    if entry.content == Content::Directory {
        return fs::create_dir_all(target);
    }
    let mut file = create_with_parents(target)?;
    match &entry.content {
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::Sparse(size) => file.set_len(*size)?,
        Content::Directory => {}
    }
    if let Some(time) = entry.modified {
        file.set_modified(time)?;
    }
    Ok(())
}

/// Most files need just one new directory, so that is tried before the longer ways: a million
/// blobs would otherwise ask a million times whether `docker` is there.
fn create_with_parents(target: &Path) -> io::Result<File> {
    let Some(parent) = target.parent() else {
        return File::create(target);
    };
    match fs::create_dir(parent) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(_) => fs::create_dir_all(parent)?,
    }
    File::create(target)
}
