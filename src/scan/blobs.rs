//! Walking `blobs/`: 256 shards of content-addressed directories, each with one `data`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::model::progress::Progress;
use crate::model::{Code, Digest, text_of};
use crate::storage::paths;
use crate::storage::{DirectoryStamp, Entry, FileKind, LeafOptions, LeafState, Storage, Usage};

use super::Depth;
use super::facts::{BlobFacts, Notes};
use super::fingerprint::Fingerprint;
use super::part::{KnownPart, Look, Part};

/// All blobs, shard by shard.
pub struct WalkedBlobs {
    pub shards: Vec<Shard>,
    pub notes: Notes,
    pub fingerprint: [u8; 32],
}

/// The blobs whose digests begin with the same two digits.
pub struct Shard {
    pub path: PathBuf,
    /// In digest order; none when the shard was passed over.
    pub blobs: Vec<BlobFacts>,
    pub part: Part,
    notes: Notes,
    fingerprint: [u8; 32],
}

/// Walks all blobs.
pub fn walk_blobs(look: Look<'_>, progress: &dyn Progress) -> WalkedBlobs {
    let mut notes = Notes::default();
    let mut shards = find_shards(look.storage, &mut notes);
    shards.sort_unstable();
    let mut shards: Vec<Shard> = shards
        .into_par_iter()
        .map(|path| {
            let shard = walk_shard(look, path);
            progress.advance(shard.blobs.len() as u64);
            shard
        })
        .collect();

    let mut fingerprint = Fingerprint::default();
    for shard in &mut shards {
        notes.append(std::mem::take(&mut shard.notes));
        fingerprint.part(&shard.fingerprint);
    }
    notes.settle_clutter(None);
    fingerprint.findings(&notes.findings);
    WalkedBlobs { shards, notes, fingerprint: fingerprint.finish() }
}

/// Whether more than `limit` names lie in the shards: the blobs, but for a few strays. Digests
/// spread evenly, so that a few shards stand for a large storage.
pub fn are_more_than(storage: &dyn Storage, limit: usize) -> bool {
    let mut count = 0;
    find_shards(storage, &mut Notes::default()).iter().any(|shard| {
        count += storage.list(shard).map_or(0, |entries| entries.len());
        count > limit
    })
}

fn find_shards(storage: &dyn Storage, notes: &mut Notes) -> Vec<PathBuf> {
    let top = storage.layout().blobs();
    let mut shards = Vec::new();
    for entry in list_or_note(storage, &top, notes) {
        let path = top.join(&entry.name);
        if entry.name != "sha256" {
            note_foreign(notes, &path, entry.kind, "blobs lie under `sha256`");
            continue;
        }
        if entry.kind != FileKind::Directory {
            note_foreign(notes, &path, entry.kind, "a directory belongs here");
            continue;
        }
        for shard in list_or_note(storage, &path, notes) {
            let shard_path = path.join(&shard.name);
            let is_hex = shard.name.len() == 2
                && shard.name.to_str().is_some_and(|name| {
                    name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                });
            if is_hex && shard.kind == FileKind::Directory {
                shards.push(shard_path);
            } else {
                note_foreign(
                    notes,
                    &shard_path,
                    shard.kind,
                    "a directory of two hex digits belongs here",
                );
            }
        }
    }
    shards
}

/// A directory that is not there is empty: a registry that was never pushed to has no `blobs`.
fn list_or_note(storage: &dyn Storage, path: &Path, notes: &mut Notes) -> Vec<Entry> {
    storage.list(path).unwrap_or_else(|error| {
        if error.kind() != std::io::ErrorKind::NotFound {
            notes.find(Code::DirectoryUnreadable, None, path, error.to_string());
        }
        Vec::new()
    })
}

fn note_foreign(notes: &mut Notes, path: &Path, kind: FileKind, why: &str) {
    if notes.count_clutter(path, kind) {
        return;
    }
    match kind {
        FileKind::Symlink => {
            notes.find(Code::SymlinkNotFollowed, None, path, "a symbolic link stands here");
        }
        _ => notes.find(Code::ForeignFile, None, path, why),
    }
}

fn walk_shard(look: Look<'_>, path: PathBuf) -> Shard {
    let Look { storage, depth, owner, .. } = look;
    if let Some(known) = look.known_part(&path)
        && look.has_stamps(known, &[&path])
    {
        let fingerprint = known.fingerprint;
        let part = Part::same(known);
        return Shard { path, blobs: Vec::new(), part, notes: Notes::default(), fingerprint };
    }
    let stamps = look.stamps(&[&path]);
    let mut notes = Notes::default();
    let mut fingerprint = Fingerprint::default();
    let options = LeafOptions { list_others: depth == Depth::Deep, ..LeafOptions::default() };
    let mut leaves =
        storage.list_leaves(&path, Path::new("data"), options).unwrap_or_else(|error| {
            notes.find(Code::DirectoryUnreadable, None, &path, error.to_string());
            Vec::new()
        });
    let newest_ns = fingerprint.leaves(&mut leaves);
    let mut usage = Usage { directory_count: 1, ..Usage::default() };
    usage.add_leaves(&leaves, 1);
    let prefix = path.file_name().map(text_of).unwrap_or_default();

    let mut blobs = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let directory = || path.join(&leaf.name);
        let digest = leaf
            .name
            .to_str()
            .filter(|name| name.starts_with(&prefix))
            .and_then(|name| Digest::from_sha256_hex(name.as_bytes()));
        let Some(digest) = digest else {
            let kind = match leaf.state {
                LeafState::NotADirectory(kind) => kind,
                _ => FileKind::Directory,
            };
            let why = format!("a directory of 64 hex digits that begin with {prefix} belongs here");
            note_foreign(&mut notes, &directory(), kind, &why);
            continue;
        };
        note_others(&mut notes, None, &directory(), &leaf.others);
        let data = || directory().join("data");
        match leaf.state {
            LeafState::File { facts, .. } => {
                if let Some(detail) = owner.is_shut_out(&facts) {
                    let digest = Some(digest.clone());
                    notes.find_digest(Code::PermissionsWrong, None, digest, &data(), detail);
                }
                blobs.push(BlobFacts {
                    digest,
                    size_bytes: facts.size_bytes,
                    modified_ns: facts.modified_ns,
                    changed_ns: facts.changed_ns,
                    inode: facts.inode,
                });
            }
            LeafState::Missing if depth == Depth::Full => {
                let others = storage.list(&directory()).unwrap_or_default();
                note_others(&mut notes, None, &directory(), &others);
                if others.is_empty() {
                    note_empty(&mut notes, digest, &directory());
                }
            }
            LeafState::Missing if leaf.others.is_empty() => {
                note_empty(&mut notes, digest, &directory());
            }
            // What lies there instead has been reported.
            LeafState::Missing => {}
            LeafState::NotAFile(facts) if facts.kind == FileKind::Symlink => {
                let detail = "the blob's data is a symbolic link";
                notes.find_digest(Code::SymlinkNotFollowed, None, Some(digest), &data(), detail);
            }
            LeafState::NotAFile(_) => {
                let detail = "the blob's data is not a file";
                notes.find_digest(Code::ForeignFile, None, Some(digest), &data(), detail);
            }
            LeafState::NotADirectory(kind) => {
                note_foreign(&mut notes, &directory(), kind, "a directory belongs here");
            }
            LeafState::Unreadable(error) => {
                let detail = error.to_string();
                notes.find_digest(Code::FileUnreadable, None, Some(digest), &data(), detail);
            }
        }
    }
    let fingerprint = fingerprint.finish();
    let known = stamps.filter(|stamps| {
        let newest_ns = stamps.iter().map(DirectoryStamp::newest_ns).fold(newest_ns, i64::max);
        notes.is_empty() && look.is_settled(newest_ns)
    });
    let known = known.map(|stamps| KnownPart { stamps, quick: fingerprint, fingerprint, usage });
    Shard { path, blobs, part: Part { is_same: false, known, usage }, notes, fingerprint }
}

fn note_empty(notes: &mut Notes, digest: Digest, directory: &Path) {
    let detail = "the blob's directory has no data";
    notes.find_digest(Code::EmptyDirectory, None, Some(digest), directory, detail);
}

/// Reports names beside a `data` or `link`.
pub fn note_others(
    notes: &mut Notes,
    repository: Option<&str>,
    directory: &Path,
    others: &[Entry],
) {
    for other in others {
        let path = directory.join(&other.name);
        if notes.count_clutter(&path, other.kind) {
            continue;
        }
        if paths::is_unfinished(&other.name) {
            notes.find(Code::TemporaryFile, repository, &path, "an interrupted write left it");
        } else if other.kind == FileKind::Symlink {
            notes.find(Code::SymlinkNotFollowed, repository, &path, "a symbolic link stands here");
        } else {
            notes.find(Code::ForeignFile, repository, &path, "the registry does not write this");
        }
    }
}
