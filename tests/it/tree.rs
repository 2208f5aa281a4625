//! Whole directory trees, to be compared: every path with its kind, bytes, link target, and the
//! mtimes of files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Directory { access: Access },
    File { bytes: Vec<u8>, modified: (i64, i64), access: Access },
    Link(PathBuf),
    Other,
}

impl Node {
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }
}

/// Who may use it: uid, gid and mode.
pub type Access = (u32, u32, u32);

/// A directory with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// All below `root`, with paths relative to it.
    pub fn of(root: &Path) -> Self {
        Self::without(root, "")
    }

    /// The same for a registry's root, without what is regsql's own in it.
    pub fn of_registry(root: &Path) -> Self {
        Self::without(root, ".regsql")
    }

    fn without(root: &Path, left_out: &str) -> Self {
        let below = WalkDir::new(root).min_depth(1).into_iter();
        let below = below.filter_entry(|entry| entry.path() != root.join(left_out));
        let nodes = below.map(|entry| {
            let path = entry.unwrap().into_path();
            (path.strip_prefix(root).unwrap().to_owned(), node(&path))
        });
        Self { nodes: nodes.collect() }
    }

    /// Fails with what differs, path by path.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, when: &str) {
        let mut differences = String::new();
        let paths = self.nodes.keys().chain(other.nodes.keys());
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let (a, b) = (self.nodes.get(path), other.nodes.get(path));
            if a != b {
                writeln!(differences, "{}: {a:?} became {b:?}", path.display()).unwrap();
            }
        }
        assert!(differences.is_empty(), "{when}:\n{differences}");
    }
}

fn node(path: &Path) -> Node {
    let facts = fs::symlink_metadata(path).unwrap();
    let access = (facts.uid(), facts.gid(), facts.mode());
    if facts.is_dir() {
        Node::Directory { access }
    } else if facts.is_symlink() {
        Node::Link(fs::read_link(path).unwrap())
    } else if facts.is_file() {
        let modified = (facts.mtime(), facts.mtime_nsec());
        Node::File { bytes: fs::read(path).unwrap(), modified, access }
    } else {
        Node::Other
    }
}
