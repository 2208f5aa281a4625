//! What every part of a repository is walked with: listings and links, and what is wrong with them.

use std::io;
use std::path::Path;

use crate::model::{Code, Digest, LinkContent, MAX_LINK_BYTES, parse_link};
use crate::storage::{
    DirectoryStamp, Entry, FileKind, Leaf, LeafOptions, LeafState, Storage, Usage, is_in_the_way,
};

use super::Depth;
use super::blobs::note_others;
use super::facts::{HoldScope, LinkFacts, Notes};
use super::fingerprint::Fingerprint;
use super::owner::Owner;
use super::part::{KnownPart, Look};

/// `sha256:` and 64 hex digits.
const SHA256_LINK_BYTES: u64 = 71;

/// One repository as it is looked at.
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    pub look: Look<'a>,
    pub storage: &'a dyn Storage,
    pub name: &'a str,
    pub path: &'a Path,
    pub depth: Depth,
    pub owner: Owner,
    /// See [`LeafOptions::only_compares`].
    pub only_compares: bool,
}

/// What was seen of a part, in hashes.
#[derive(Default)]
pub struct Hashed {
    /// What a quick look sees, too.
    pub quick: Fingerprint,
    /// What only a full look sees.
    pub full: Fingerprint,
    /// What the files take on the disk.
    pub usage: Usage,
    newest_ns: i64,
}

impl Hashed {
    /// Nothing but the directories that every part has.
    pub fn of(directory_count: u64) -> Self {
        Self { usage: Usage { directory_count, ..Usage::default() }, ..Self::default() }
    }

    /// Leaves, and how many directories each of them has.
    pub fn leaves(&mut self, leaves: &mut [Leaf], directories_each: u64) {
        self.usage.add_leaves(leaves, directories_each);
        self.newest_ns = self.newest_ns.max(self.quick.leaves(leaves));
    }

    /// The hash over all that was seen, and what the next scan may know of it if nothing is wrong.
    pub fn remember(
        self,
        notes: &Notes,
        stamps: impl FnOnce(i64) -> Option<Vec<DirectoryStamp>>,
    ) -> ([u8; 32], Option<KnownPart>) {
        let quick = self.quick.finish();
        let mut fingerprint = self.full;
        fingerprint.part(&quick);
        let fingerprint = fingerprint.finish();
        let stamps = notes.is_empty().then(|| stamps(self.newest_ns)).flatten();
        let usage = self.usage;
        (fingerprint, stamps.map(|stamps| KnownPart { stamps, quick, fingerprint, usage }))
    }
}

/// What a directory that may be missing holds.
pub enum Listing {
    Missing,
    Found(Vec<Entry>),
    /// It has been noted; what hangs on it is unknown.
    Unreadable(Code),
}

/// What an error says of a link: `damaged` when something else stands on the way to it, and else that
/// it is not known what it holds.
pub fn code_of(error: &io::Error, damaged: Code) -> Code {
    if is_in_the_way(error) { damaged } else { Code::FileUnreadable }
}

impl Walk<'_> {
    pub fn find(&self, notes: &mut Notes, code: Code, path: &Path, detail: impl Into<String>) {
        notes.find(code, Some(self.name), path, detail);
    }

    pub fn list(&self, notes: &mut Notes, path: &Path) -> Listing {
        match self.storage.list(path) {
            Ok(entries) => Listing::Found(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Listing::Missing,
            Err(error) => Listing::Unreadable(self.note_unlistable(notes, path, &error)),
        }
    }

    pub fn note_unlistable(&self, notes: &mut Notes, path: &Path, error: &io::Error) -> Code {
        let is_link = self.storage.stat(path).is_ok_and(|facts| facts.kind == FileKind::Symlink);
        let code = if is_link { Code::SymlinkNotFollowed } else { Code::DirectoryUnreadable };
        self.find(notes, code, path, error.to_string());
        code
    }

    pub fn note_foreign(&self, notes: &mut Notes, path: &Path, kind: FileKind) {
        if !notes.count_clutter(path, kind) {
            self.find(notes, Code::ForeignFile, path, "the registry does not write this");
        }
    }

    /// What stands where a link is missing; rare enough to be looked at by every walk but the
    /// quickest.
    fn look_inside(&self, directory: &Path, others: Vec<Entry>) -> Vec<Entry> {
        match self.depth {
            Depth::Quick | Depth::Deep => others,
            Depth::Full => self.storage.list(directory).unwrap_or_default(),
        }
    }

    /// A layer link of the right length is read by a deep walk only: whatever it says, the blob that
    /// its directory names is the one that a manifest means.
    fn link_options(&self, directory: &Path) -> LeafOptions {
        let is_trusted = directory.ends_with("_layers/sha256") && self.depth < Depth::Deep;
        LeafOptions {
            content_limit: (self.depth >= Depth::Full).then_some(MAX_LINK_BYTES),
            trusted_size: is_trusted.then_some(SHA256_LINK_BYTES),
            list_others: self.depth == Depth::Deep,
            ..LeafOptions::default()
        }
    }

    /// `None` when there is no such directory.
    pub fn list_links(
        &self,
        directory: &Path,
        notes: &mut Notes,
    ) -> Result<Option<Vec<Leaf>>, Code> {
        match self.storage.list_leaves(directory, Path::new("link"), self.link_options(directory)) {
            Ok(leaves) => Ok(Some(leaves)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.note_unlistable(notes, directory, &error)),
        }
    }

    /// Links in `directory`, one a digest: `<directory>/<encoded>/link`.
    pub fn links(
        &self,
        directory: &Path,
        hashed: &mut Hashed,
        notes: &mut Notes,
        unreadable: Code,
        digest_of: &dyn Fn(&str) -> Option<Digest>,
    ) -> Result<Vec<(LinkFacts, Vec<Entry>)>, Code> {
        let Some(mut leaves) = self.list_links(directory, notes)? else {
            return Ok(Vec::new());
        };
        hashed.leaves(&mut leaves, 1);
        hashed.full.contents(&leaves);
        let mut links = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let path = directory.join(&leaf.name);
            match leaf.name.to_str().and_then(digest_of) {
                Some(name) => links.extend(self.link(notes, &path, unreadable, name, leaf)),
                None => self.note_foreign(notes, &path, kind_of(&leaf.state)),
            }
        }
        Ok(links)
    }

    fn link(
        &self,
        notes: &mut Notes,
        directory: &Path,
        unreadable: Code,
        name: Digest,
        leaf: Leaf,
    ) -> Option<(LinkFacts, Vec<Entry>)> {
        let path = directory.join("link");
        let mut find = |code, detail: String| {
            notes.find_digest(code, Some(self.name), Some(name.clone()), &path, detail);
        };
        let mut link = LinkFacts {
            name: name.clone(),
            other_target: None,
            modified_ns: 0,
            is_doubtful: false,
        };
        match leaf.state {
            LeafState::File { facts, content } => {
                link.modified_ns = facts.modified_ns;
                if let Some(detail) = self.owner.is_shut_out(&facts) {
                    find(Code::PermissionsWrong, detail);
                }
                let content = content.map(|content| content.map(|bytes| parse_link(&bytes)));
                match content {
                    None => {}
                    Some(Ok(LinkContent::Clean(target) | LinkContent::Spaced(target)))
                        if target != name && name_is_canonical(&name) =>
                    {
                        find(Code::LinkMismatch, format!("the link holds {target}"));
                        link.other_target = Some(Box::new(target));
                        link.is_doubtful = true;
                    }
                    Some(Ok(LinkContent::Clean(target))) => {
                        link.other_target = (target != name).then(|| Box::new(target));
                    }
                    Some(Ok(LinkContent::Spaced(target))) => {
                        find(Code::LinkWhitespace, "white space stands around the digest".into());
                        link.other_target = (target != name).then(|| Box::new(target));
                    }
                    Some(Ok(LinkContent::Nothing(reason))) => {
                        find(unreadable, reason);
                        link.is_doubtful = true;
                    }
                    Some(Err(error)) => {
                        let code = code_of(&error, unreadable);
                        find(code, format!("the link cannot be read: {error}"));
                        notes.is_incomplete = true;
                        link.is_doubtful = true;
                    }
                }
            }
            LeafState::NotAFile(facts) => {
                let code = match facts.kind {
                    FileKind::Symlink => Code::SymlinkNotFollowed,
                    _ => unreadable,
                };
                find(code, "the link is not a regular file".into());
                link.is_doubtful = true;
            }
            LeafState::Unreadable(error) => {
                let code = code_of(&error, unreadable);
                find(code, format!("the link cannot be looked at: {error}"));
                notes.is_incomplete = true;
                link.is_doubtful = true;
            }
            LeafState::Missing => {
                let others = self.look_inside(directory, leaf.others);
                if others.is_empty() {
                    let detail = "the link is gone, as the registry's API leaves it";
                    notes.find_digest(
                        Code::EmptyDirectory,
                        Some(self.name),
                        Some(name),
                        directory,
                        detail,
                    );
                } else {
                    note_others(notes, Some(self.name), directory, &others);
                }
                return None;
            }
            LeafState::NotADirectory(FileKind::Symlink) => {
                find(Code::SymlinkNotFollowed, "a symbolic link stands here".into());
                link.is_doubtful = true;
            }
            LeafState::NotADirectory(kind) => {
                self.note_foreign(notes, directory, kind);
                return None;
            }
        }
        Some((link, leaf.others))
    }

    /// Whether a name in `_layers` or `revisions` is a directory of links. What else stands there is
    /// noted, and a symbolic link, behind which links may be, holds the `scope`.
    pub fn may_hold_links(
        &self,
        path: &Path,
        kind: FileKind,
        scope: HoldScope,
        notes: &mut Notes,
    ) -> bool {
        if notes.count_clutter(path, kind) {
            return false;
        }
        match kind {
            FileKind::Directory => return true,
            FileKind::Symlink => {
                self.find(notes, Code::SymlinkNotFollowed, path, "a symbolic link stands here");
                notes.hold(scope, Code::SymlinkNotFollowed, path);
            }
            _ => self.note_foreign(notes, path, kind),
        }
        false
    }
}

/// What the directory entry of a leaf is.
pub fn kind_of(state: &LeafState) -> FileKind {
    match state {
        LeafState::NotADirectory(kind) => *kind,
        _ => FileKind::Directory,
    }
}

/// Only a sha256 link names the blob by the blob's own digest; links of other algorithms are
/// aliases, and hold another digest by design.
fn name_is_canonical(name: &Digest) -> bool {
    matches!(name, Digest::Sha256(_))
}
