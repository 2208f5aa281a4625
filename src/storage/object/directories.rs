//! Directories as a registry's files have them, seen in a sorted list of keys.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};

use super::table::{Cursor, Item, Table};
use crate::storage::{DirectoryStamp, FileKind, LeafOptions};

/// What the keys in a directory begin with.
pub(super) fn below(directory: &str) -> String {
    if directory.is_empty() { String::new() } else { format!("{directory}/") }
}

/// Keys that begin with the same name, as far as a leaf is asked about.
pub(super) struct Group<'t> {
    pub(super) name: String,
    pub(super) is_directory: bool,
    pub(super) leaf: Option<Item<'t>>,
    /// Something lies below the leaf, so that it is a directory.
    pub(super) has_below_leaf: bool,
    /// A file stands on the way to the leaf.
    pub(super) is_blocked: bool,
    pub(super) others: BTreeMap<String, FileKind>,
    pub(super) beside: Stamp,
    /// The newest time of what lies below it.
    pub(super) newest_ns: i64,
}

/// What tells two listings of a directory apart.
#[derive(Default)]
pub(super) struct Stamp {
    hash: Option<Md5>,
    newest_ns: i64,
}

impl Stamp {
    pub(super) fn add(&mut self, path: &str, item: Item<'_>) {
        let record = item.record;
        let is_first = self.hash.is_none();
        let hash = self.hash.get_or_insert_with(Md5::new);
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path.as_bytes());
        hash.update(record.size_bytes.to_le_bytes());
        hash.update(record.modified_ns.to_le_bytes());
        hash.update(item.number().to_le_bytes());
        let newest_ns = if is_first { i64::MIN } else { self.newest_ns };
        self.newest_ns = newest_ns.max(record.modified_ns);
    }

    /// `None` when nothing was added.
    pub(super) fn finish(self) -> Option<DirectoryStamp> {
        let hash: [u8; 16] = self.hash?.finalize().into();
        let inode = u64::from_le_bytes(hash[..8].try_into().unwrap_or_default());
        Some(DirectoryStamp { inode, modified_ns: self.newest_ns, changed_ns: self.newest_ns })
    }
}

/// Calls `take` with each name in a directory, and whether it is a directory itself. A name that is both is
/// given as both.
pub(super) fn each_name(table: &Table, directory: &str, mut take: impl FnMut(&str, bool)) {
    let prefix = below(directory);
    let mut cursor = table.from(prefix.as_bytes());
    let mut steps = 0;
    let mut last = String::new();
    while let Some(rest) = cursor.key_below(prefix.as_bytes()) {
        let Some((name, _)) = rest.split_once('/') else {
            take(rest, false);
            last.clear();
            cursor.advance();
            continue;
        };
        if name != last || last.is_empty() {
            take(name, true);
            name.clone_into(&mut last);
            steps = 0;
        }
        steps += 1;
        // What follows all keys below it; a slash comes right before a zero.
        if steps > 8 {
            let target = format!("{prefix}{last}0");
            cursor.seek(target.as_bytes());
            steps = 0;
        } else {
            cursor.advance();
        }
    }
}

/// Reads the keys below a directory in groups of the same first name.
pub(super) struct Groups<'t> {
    cursor: Cursor<'t>,
    prefix: String,
    leaf: String,
    options: LeafOptions,
}

impl<'t> Groups<'t> {
    /// The groups of what lies below `directory`.
    pub(super) fn new(table: &'t Table, directory: &str, leaf: &str, options: LeafOptions) -> Self {
        let prefix = below(directory);
        Self { cursor: table.from(prefix.as_bytes()), prefix, leaf: leaf.to_owned(), options }
    }

    pub(super) fn next(&mut self) -> Option<Group<'t>> {
        let rest = self.cursor.key_below(self.prefix.as_bytes())?;
        let (name, is_directory) = match rest.split_once('/') {
            Some((name, _)) => (name.to_owned(), true),
            None => (rest.to_owned(), false),
        };
        let mut group = Group {
            is_directory,
            leaf: None,
            has_below_leaf: false,
            is_blocked: false,
            others: BTreeMap::new(),
            beside: Stamp::default(),
            newest_ns: 0,
            name,
        };
        if !is_directory {
            self.cursor.advance();
            return Some(group);
        }
        let prefix = format!("{}{}/", self.prefix, group.name);
        let first = self.leaf.split('/').next().unwrap_or_default();
        let is_deep = first.len() < self.leaf.len();
        while let Some(rest) = self.cursor.key_below(prefix.as_bytes()) {
            let Some(item) = self.cursor.item() else { break };
            group.newest_ns = group.newest_ns.max(item.record.modified_ns);
            if rest == self.leaf {
                group.leaf = Some(item);
            } else if let Some(below) = rest.strip_prefix(&*self.leaf) {
                group.has_below_leaf |= below.starts_with('/');
            }
            group.is_blocked |= is_deep && rest == first;
            if let Some(beside) = self.options.beside
                && let Some(path) =
                    rest.strip_prefix(beside).and_then(|path| path.strip_prefix('/'))
            {
                group.beside.add(path, item);
            }
            if self.options.list_others {
                let (name, kind) = match rest.split_once('/') {
                    Some((name, _)) => (name, FileKind::Directory),
                    None => (rest, FileKind::File),
                };
                if name != first {
                    group.others.insert(name.to_owned(), kind);
                }
            }
            self.cursor.advance();
        }
        Some(group)
    }
}
